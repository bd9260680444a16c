/**
 * The baseline for warm invocations: the least that a Node process can do between a client and a function. No limits, no
 * deadlines, no logs, no authentication, no sandbox; one program, one queue.
 *   node bench/plain-broker.ts PROGRAM COUNT      prints its port when COUNT instances of PROGRAM have asked for work
 */
import { spawn } from "node:child_process";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const [program = "", count = "1"] = process.argv.slice(2);
const idle: ServerResponse[] = [];
const waiting: { body: Buffer; client: ServerResponse }[] = [];
const running = new Map<string, ServerResponse>();
let serial = 0;
let announced = false;

function pair(): void {
	while (idle.length > 0 && waiting.length > 0) {
		const [runtime, event] = [
			idle.pop() as ServerResponse,
			waiting.shift() as { body: Buffer; client: ServerResponse },
		];
		const id = String(++serial);
		running.set(id, event.client);
		runtime.writeHead(200, { "Lambda-Runtime-Aws-Request-Id": id, "Content-Length": event.body.length });
		runtime.end(event.body);
	}
}

const server = createServer((request, response) => {
	const parts: Buffer[] = [];
	request.on("data", (part: Buffer) => parts.push(part));
	request.on("end", () => {
		const body = Buffer.concat(parts);
		const [, id] = /invocation\/(\d+)\/response$/.exec(request.url ?? "") ?? [];
		if (request.url?.endsWith("/next")) {
			idle.push(response);
			if (!announced && idle.length === Number(count)) {
				announced = true;
				console.log((server.address() as AddressInfo).port);
			}
		} else if (id !== undefined) {
			running.get(id)?.end(body);
			running.delete(id);
			response.writeHead(202, { "Content-Length": 0 }).end();
		} else waiting.push({ body, client: response });
		pair();
	});
});
// The bench's clients rest while requests are signed for the other side.
server.keepAliveTimeout = 0;
server.listen(0, "127.0.0.1", () => {
	const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
	for (let index = 0; index < Number(count); index++)
		spawn(program, [], { env: { AWS_LAMBDA_RUNTIME_API: address }, stdio: "inherit" });
});
process.on("disconnect", () => process.exit());
