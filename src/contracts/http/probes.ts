import type { Socket } from "node:net";
import { type Clock, systemClock } from "../../base/clock.ts";
import { systemCode } from "../../base/error.ts";
import { http } from "../../base/http.ts";
import type { ProbeFailure, ProbeRunner, ProbeTarget } from "../../core/workload/probe-runner.ts";
import type { ExecCheck, HttpCheck, PortCheck, Probe } from "../../core/workload/workload.ts";
import { grpcHealth } from "./grpc-health.ts";

/** Bytes of a health check's answer that are read, as the kubelet has it (prober, maxRespBodyLength). */
const maxAnswerBytes = 10 * 1024;
const maxHeaderBytes = 16 * 1024;
const userAgent = "kube-probe/1.30 (slipway)";

/** Checks over TCP, HTTP/1.1 and gRPC, and by programs, as Kubernetes makes them. */
export class NetworkProbes implements ProbeRunner {
	readonly #clock: Clock;

	constructor(clock: Clock = systemClock) {
		this.#clock = clock;
	}

	async run(check: Probe["check"], target: ProbeTarget): Promise<ProbeFailure | undefined> {
		const over = new AbortController();
		const abort = () => over.abort();
		const cancel = this.#clock.after(target.timeoutMs, abort);
		target.signal.addEventListener("abort", abort, { once: true });
		const late = new Promise<ProbeFailure>((resolve) => {
			const onAbort = () =>
				resolve({ kind: "timeout", message: `${describe(check)} took more than ${target.timeoutMs} ms` });
			if (target.signal.aborted) onAbort();
			else over.signal.addEventListener("abort", onAbort, { once: true });
		});
		try {
			const answer =
				check.kind === "exec" ? runProgram(check, target, over.signal) : connectAndAsk(check, target, over.signal);
			return await Promise.race([answer, late]);
		} finally {
			cancel();
			target.signal.removeEventListener("abort", abort);
			over.abort();
		}
	}
}

async function runProgram(
	check: ExecCheck,
	target: ProbeTarget,
	signal: AbortSignal,
): Promise<ProbeFailure | undefined> {
	try {
		const code = await target.exec(check.command, signal);
		if (code === 0) return undefined;
		return {
			kind: "unwell",
			message: `${describe(check)} ${code === undefined ? "was killed" : `exited with ${code}`}`,
		};
	} catch (error) {
		return { kind: "unwell", message: `${describe(check)}: ${error instanceof Error ? error.message : String(error)}` };
	}
}

async function connectAndAsk(
	check: PortCheck,
	target: ProbeTarget,
	signal: AbortSignal,
): Promise<ProbeFailure | undefined> {
	let socket: Socket;
	try {
		socket = await target.connect(check.port);
	} catch (error) {
		const code = systemCode(error) ?? (error instanceof Error ? error.message : "failed");
		const message = code === "ECONNREFUSED" ? `nobody listens on port ${check.port}` : `${describe(check)}: ${code}`;
		return { kind: code === "ECONNREFUSED" ? "refused" : "unwell", message };
	}
	// An error that comes when nobody asks any more is no news.
	socket.on("error", () => {});
	const close = () => socket.destroy();
	if (signal.aborted) close();
	signal.addEventListener("abort", close, { once: true });
	try {
		const unwell = await answerOf(check, socket);
		return unwell === undefined ? undefined : { kind: "unwell", message: `${describe(check)} ${unwell}` };
	} catch (error) {
		const why = systemCode(error) ?? (error instanceof Error ? error.message : String(error));
		return { kind: "unwell", message: `${describe(check)} got no answer: ${why}` };
	} finally {
		close();
	}
}

/** Undefined when it is well, else what it said. */
function answerOf(check: PortCheck, socket: Socket): Promise<string | undefined> | undefined {
	if (check.kind === "http") return httpAnswer(check, socket);
	if (check.kind === "grpc") return grpcHealth(check.service, check.port, socket);
	return undefined;
}

function describe(check: Probe["check"]): string {
	if (check.kind === "http") return `HTTP GET ${check.path} on port ${check.port}`;
	if (check.kind === "grpc") return `gRPC health check of "${check.service}" on port ${check.port}`;
	if (check.kind === "exec") return `Program "${check.command[0] ?? ""}"`;
	return `TCP connection to port ${check.port}`;
}

/** 200 to 399 is well (Kubernetes, probe/http); redirects are not followed. */
function httpAnswer({ path, port, headers }: HttpCheck, socket: Socket): Promise<string | undefined> {
	return new Promise((resolve, reject) => {
		const sent: Record<string, string | string[]> = {
			host: `127.0.0.1:${port}`,
			"user-agent": userAgent,
			accept: "*/*",
			connection: "close",
		};
		for (const { name, value } of headers) sent[name.toLowerCase()] = value;
		const request = http.request({
			createConnection: () => socket,
			method: "GET",
			path,
			headers: sent,
			maxHeaderSize: maxHeaderBytes,
		});
		request.once("error", reject);
		request.once("response", (response) => {
			const status = response.statusCode ?? 0;
			const answer = () => resolve(status >= 200 && status < 400 ? undefined : `answered ${status}`);
			let bytes = 0;
			response.on("data", (chunk: Buffer) => {
				bytes += chunk.length;
				if (bytes > maxAnswerBytes) answer();
			});
			response.once("end", answer);
			response.once("error", reject);
		});
		request.once("close", () => reject(new Error("the connection was closed")));
		request.end();
	});
}
