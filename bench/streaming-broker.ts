/**
 * The baseline for streamed answers: a Node process between a client and a function that pipes the function's answer on.
 *   node bench/streaming-broker.ts PROGRAM      prints its port when PROGRAM has asked for work
 */
import { spawn } from "node:child_process";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const [program = ""] = process.argv.slice(2);
let idle: ServerResponse | undefined;
let waiting: { body: Buffer; client: ServerResponse } | undefined;
let client: ServerResponse | undefined;
let announced = false;

function pair(): void {
	if (!idle || !waiting) return;
	client = waiting.client;
	idle.writeHead(200, { "Lambda-Runtime-Aws-Request-Id": "1", "Content-Length": waiting.body.length });
	idle.end(waiting.body);
	idle = waiting = undefined;
}

const server = createServer((request, response) => {
	if (request.url?.endsWith("/response")) {
		const to = client;
		to?.writeHead(200, { "Content-Type": "application/octet-stream" });
		if (to) request.pipe(to);
		request.on("end", () => response.writeHead(202, { "Content-Length": 0 }).end());
		return;
	}
	const parts: Buffer[] = [];
	request.on("data", (part: Buffer) => parts.push(part));
	request.on("end", () => {
		if (request.url?.endsWith("/next")) {
			idle = response;
			if (!announced) console.log((server.address() as AddressInfo).port);
			announced = true;
		} else waiting = { body: Buffer.concat(parts), client: response };
		pair();
	});
});
server.keepAliveTimeout = 0;
server.listen(0, "127.0.0.1", () => {
	const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
	spawn(program, [], { env: { AWS_LAMBDA_RUNTIME_API: address }, stdio: "inherit" });
});
process.on("disconnect", () => process.exit());
