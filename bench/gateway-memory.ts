/** What open connections and long streams cost the gateway, beside other proxies before the same server. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { run } from "../tools/run.ts";
import { startBareService, streamBytes } from "./bench-service.ts";
import { deployed, nginx, plainProxy } from "./gateway.ts";
import { peakGrowth, residentMegabytes } from "./memory.ts";
import { startNginx } from "./nginx.ts";
import { startServer } from "./plain-processes.ts";
import { type Figure, figure, type Series } from "./result.ts";
import { type RunOptions, samples } from "./run-options.ts";

const webSockets = 5_000;
const streamRounds = 3;
/** After the service was made, until the daemon's memory is what it stays. */
const settleMs = 3_000;
/** Opened at the same time. */
const atOnce = 50;
/** The garbage collector gives memory back when nothing happens for a while. */
const quietMs = 10_000;
/** A second, of the reader of the stream whose memory is looked at: far less than a proxy passes on, so that what is not held back piles up. */
const slowMegabytes = 100;
/** Megabytes; a tenth of what goes through. */
const flatGrowth = streamBytes / 10 / 1e6;

export async function gatewayWebSockets(daemon: LocalDaemon, options: RunOptions): Promise<Record<string, Figure>> {
	const host = await deployed(daemon, "bench-sockets");
	await using server = await startBareService();
	await using proxy = await startServer("plain-proxy.ts", [String(server.port)]);
	const found = await startNginx(server.port);
	await using other = typeof found === "string" ? undefined : found;
	const sides = [daemon, proxy, ...(other ? [other] : [])];
	const count = samples(options, webSockets);
	// Whose first connection it is has code to load.
	for (const { url } of sides) for (const socket of await openWebSockets(url, host, 1)) socket.destroy();
	await sleep(quietMs);
	const before = await Promise.all(sides.map(({ pid }) => residentMegabytes(pid)));
	const open: Socket[] = [];
	for (const { url } of sides) open.push(...(await openWebSockets(url, host, count)));
	await sleep(quietMs);
	const after = await Promise.all(sides.map(({ pid }) => residentMegabytes(pid)));
	const lost = open.filter(({ readable }) => !readable).length;
	for (const socket of open) socket.destroy();
	if (lost > 0) throw new Error(`${lost} of ${open.length} WebSockets did not stay open`);
	const [ours, plain, theirs] = after.map((megabytes, index) => megabytes - (before[index] as number));
	const baselines: Series = { [plainProxy]: [plain as number], [nginx]: theirs ? [theirs] : String(found) };
	return {
		"gateway.websockets": figure({
			name: `memory of ${count.toLocaleString("en-US")} idle WebSockets`,
			unit: "MB",
			values: [ours as number],
			baselines,
			how: `by how much the daemon's resident memory has grown ${quietMs / 1000} s after the last was opened; with them it is ${after[0]?.toFixed(0)} MB`,
			promises: { "less than 150 MB": ({ p50 }) => p50 < 150 },
		}),
	};
}

async function openWebSockets(url: string, host: string, count: number): Promise<Socket[]> {
	const open: Socket[] = [];
	let left = count;
	const opener = async () => {
		while (left-- > 0) open.push(await openWebSocket(url, host));
	};
	await Promise.all(Array.from({ length: atOnce }, opener));
	return open;
}

/** The handshake of RFC 6455, 4.1, with the key of its example: nobody looks at it here. */
async function openWebSocket(url: string, host: string): Promise<Socket> {
	const { hostname, port } = new URL(url);
	const socket = connect(Number(port), hostname);
	const lines = [
		"GET / HTTP/1.1",
		`Host: ${host}`,
		"Connection: Upgrade",
		"Upgrade: websocket",
		"Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	];
	socket.write(`${lines.join("\r\n")}\r\n\r\n`);
	const [head] = (await once(socket, "data")) as [Buffer];
	if (head.toString("latin1").startsWith("HTTP/1.1 101 ")) return socket;
	throw new Error(`${url} answered a WebSocket's handshake with ${head}`);
}

export async function gatewayStream(daemon: LocalDaemon, options: RunOptions): Promise<Record<string, Figure>> {
	const host = await deployed(daemon, "bench-bytes");
	await using server = await startBareService();
	await using proxy = await startServer("plain-proxy.ts", [String(server.port)]);
	const found = await startNginx(server.port);
	await using other = typeof found === "string" ? undefined : found;
	const sides = [daemon, proxy, ...(other ? [other] : [])].map(({ url, pid }) => ({ url, pid, rates: [] as number[] }));
	await sleep(settleMs);
	const growing = sides.map(({ url, pid }) => peakGrowth(pid, () => streamRate(url, host, slowMegabytes)));
	const [ourGrowth, plainGrowth, theirGrowth] = (await Promise.all(growing)) as [number, number, number | undefined];
	for (let round = samples(options, streamRounds); round > 0; round--)
		for (const { url, rates } of sides) rates.push(await streamRate(url, host));
	const [ours, plain, theirs] = sides.map(({ rates }) => rates) as [number[], number[], number[] | undefined];
	const missing = String(found);
	return {
		"gateway.stream": figure({
			name: "answer of 1 GB through the gateway",
			unit: "MB/s",
			values: ours,
			baselines: { [plainProxy]: plain, [nginx]: theirs ?? missing },
			how: "read by curl as fast as it comes, in turns; the proxies, the server and curl share the machine",
		}),
		"gateway.stream.memory": figure({
			name: `memory while 1 GB streams to a reader of ${slowMegabytes} MB/s`,
			unit: "MB",
			values: [ourGrowth],
			baselines: { [plainProxy]: [plainGrowth], [nginx]: theirGrowth === undefined ? missing : [theirGrowth] },
			how: "by how much the daemon's resident memory grew at its greatest moment; the server and every proxy could pass it on several times as fast",
			promises: { "at most a tenth of what goes through": ({ p50 }) => p50 <= flatGrowth },
		}),
	};
}

/** Megabytes a second at which curl got the whole stream. */
async function streamRate(url: string, host: string, mostMegabytes?: number): Promise<number> {
	const limit = mostMegabytes === undefined ? [] : ["--limit-rate", `${mostMegabytes * 1e6}`];
	const words = ["--silent", "--show-error", "--fail", "--output", "/dev/null", "--noproxy", "*"];
	const written = ["--write-out", "%{size_download} %{time_total}"];
	const said = await run("curl", [...words, ...written, ...limit, "--header", `Host: ${host}`, `${url}/stream`]);
	const [bytes = 0, seconds = 0] = said.split(" ").map(Number);
	if (bytes !== streamBytes) throw new Error(`A stream of ${streamBytes} bytes ended after ${bytes}`);
	return bytes / 1e6 / seconds;
}
