import http from "node:http";
import type { FakeProcess, FakeProgram } from "../../core/sandbox/fake-sandbox-runtime.ts";

export interface FakeExtensionEvent {
	eventType: "INVOKE" | "SHUTDOWN";
	shutdownReason?: string;
	requestId?: string;
}

/** A Lambda extension for the fake sandbox runtime: registers, and hands each event to `onEvent` before it asks for the next. */
export function fakeExtension(
	events: readonly string[],
	onEvent: (event: FakeExtensionEvent, process: FakeProcess) => Promise<void> | void = () => {},
): FakeProgram {
	return async (process) => {
		const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
		process.ended.addEventListener("abort", () => agent.destroy());
		const ended = new Promise<never>((_, reject) =>
			process.ended.addEventListener("abort", () => reject(new Error("killed"))),
		);
		ended.catch(() => {});
		const name = process.args[0]?.split("/").at(-1) ?? "";
		const call = (method: string, path: string, headers: http.OutgoingHttpHeaders, body?: string) =>
			Promise.race([ended, extensionCall(agent, process, method, path, headers, body)]);
		const registered = await call("POST", "register", { "lambda-extension-name": name }, JSON.stringify({ events }));
		const headers = { "lambda-extension-identifier": String(registered.headers["lambda-extension-identifier"]) };
		for (;;) {
			await process.whenThawed();
			const next = await call("GET", "event/next", headers);
			const event = JSON.parse(next.body) as FakeExtensionEvent;
			await onEvent(event, process);
			if (event.eventType === "SHUTDOWN") return 0;
		}
	};
}

function extensionCall(
	agent: http.Agent,
	process: FakeProcess,
	method: string,
	path: string,
	headers: http.OutgoingHttpHeaders,
	body?: string,
) {
	const [hostname, port] = (process.env.AWS_LAMBDA_RUNTIME_API ?? "").split(":");
	const options = { agent, hostname, port, method, path: `/2020-01-01/extension/${path}`, headers };
	return new Promise<{ headers: http.IncomingHttpHeaders; body: string }>((resolve, reject) => {
		const request = http.request(options, (response) => {
			const chunks: Buffer[] = [];
			response.on("data", (chunk) => chunks.push(chunk));
			response.on("error", reject);
			response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(chunks).toString() }));
		});
		request.on("error", reject);
		request.end(body);
	});
}
