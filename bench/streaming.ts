/**
 * InvokeWithResponseStream beside a Node process that pipes: the first byte of an answer, and the rate of a large one. Its
 * 6 MB are the burst that every invocation has ahead of the rate limit of 2 MB/s, so that the limit is not what is measured.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { benchFunction } from "./bench-function.ts";
import { plainRequest, signedRequest } from "./http-connection.ts";
import { startServer } from "./plain-processes.ts";
import { type Figure, figure } from "./result.ts";
import { type RunOptions, samples, twoCpusMiB } from "./run-options.ts";
import { pushExample, SlipwayClient } from "./slipway-client.ts";

const warmUp = 100;
const proxy = "plain Node proxy, no sandbox";
/** 95 pieces of 64 KiB and a little less than the burst of 6 MiB. */
const pieces = 95;
const pieceBytes = 64 * 1024;
const functionName = "bench-stream";
interface Timing {
	/** From the request's first byte to the first one of the answer's body, milliseconds. */
	firstMs: number;
	/** To the answer's last byte. */
	wholeMs: number;
	bytes: number;
}

/** One kept-alive connection that reads chunked answers without keeping them. */
class StreamConnection {
	readonly #socket: Socket;

	private constructor(socket: Socket) {
		this.#socket = socket;
	}

	static async open(url: string): Promise<StreamConnection> {
		const { hostname, port } = new URL(url);
		const socket = connect(Number(port), hostname);
		socket.setNoDelay(true);
		await once(socket, "connect");
		return new StreamConnection(socket);
	}

	send(request: Buffer): Promise<Timing> {
		const socket = this.#socket;
		const started = performance.now();
		let head = "";
		let bytes = 0;
		let firstMs = 0;
		let last: Buffer = Buffer.alloc(0);
		return new Promise((resolve, reject) => {
			const done = (error?: Error) => {
				socket.off("data", receive).off("close", gone);
				if (error) reject(error);
				else resolve({ firstMs, wholeMs: performance.now() - started, bytes });
			};
			const gone = () => done(new Error("The server closed the connection"));
			const receive = (chunk: Buffer) => {
				let body = chunk;
				if (bytes === 0) {
					head += chunk.toString("latin1");
					const end = head.indexOf("\r\n\r\n");
					if (end < 0) return;
					if (!head.startsWith("HTTP/1.1 200")) return done(new Error(`A stream was answered with ${head}`));
					body = Buffer.from(head.slice(end + 4), "latin1");
					if (body.length === 0) return; // the head alone came first
					firstMs = performance.now() - started;
				}
				bytes += body.length;
				last = Buffer.concat([last.subarray(-5), body.subarray(-5)]).subarray(-5);
				if (last.toString("latin1") === "0\r\n\r\n") done();
			};
			socket.on("data", receive).on("close", gone);
			socket.write(request);
		});
	}

	close(): void {
		this.#socket.destroy();
	}
}

export async function streaming(daemon: LocalDaemon, options: RunOptions): Promise<Record<string, Figure>> {
	const imageUri = await pushExample(daemon, benchFunction);
	const setup = await SlipwayClient.open(daemon);
	await setup.createFunction(functionName, imageUri, { memoryMiB: twoCpusMiB });
	setup.close();
	await using broker = await startServer("streaming-broker.ts", [join(benchFunction.folder, "bootstrap")]);
	const ours = await StreamConnection.open(daemon.url);
	const theirs = await StreamConnection.open(broker.url);
	const pairs = async (count: number, event: number) => {
		const timings: { ours: Timing; theirs: Timing }[] = [];
		for (let index = 0; index < count; index++) {
			const request = streamRequest(daemon, event);
			timings.push({ ours: await ours.send(request), theirs: await theirs.send(plainRequest("/", String(event))) });
		}
		return timings;
	};
	await pairs(warmUp, 0);
	const first = await pairs(samples(options, 1_000), 0);
	const large = await pairs(samples(options, 40), pieces);
	ours.close();
	theirs.close();
	return { "stream.first": firstByteFigure(first), "stream.rate": rateFigure(large) };
}

function firstByteFigure(timings: { ours: Timing; theirs: Timing }[]): Figure {
	return figure({
		name: "first byte of a streamed answer, warm",
		unit: "ms",
		values: timings.map((each) => each.ours.firstMs),
		baselines: { [proxy]: timings.map((each) => each.theirs.firstMs) },
		how: "InvokeWithResponseStream, from the request's first byte to the first one of the answer's body",
		promises: { "at most 1 ms on top of the function": ({ p50, of }) => p50 - of(proxy) <= 1 },
	});
}

function rateFigure(timings: { ours: Timing; theirs: Timing }[]): Figure {
	const rate = ({ wholeMs }: Timing) => (pieces * pieceBytes) / 1000 / wholeMs;
	return figure({
		name: "streamed answer of 6 MB",
		unit: "MB/s",
		values: timings.map((each) => rate(each.ours)),
		baselines: { [proxy]: timings.map((each) => rate(each.theirs)) },
		how: "the 6 MB that every answer has ahead of the rate limit of 2 MB/s",
	});
}

function streamRequest({ url, region, credentials }: LocalDaemon, event: number): Buffer {
	const path = `/2021-11-15/functions/${functionName}/response-streaming-invocations`;
	return signedRequest({ url, region, method: "POST", path, body: String(event) }, credentials);
}
