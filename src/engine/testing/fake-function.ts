import http from "node:http";
import type { FakeProcess, FakeProgram } from "../../core/sandbox/fake-sandbox-runtime.ts";

export interface FakeEvent {
	requestId: string;
	payload: string;
	process: FakeProcess;
}

/** What a handler may do with an event; a string is posted as the response. */
export type FakeAnswer = string | { error: string } | { exit: number } | { hang: true };

/** A runtime client over real HTTP for the fake sandbox runtime: asks, hands the event to the handler, posts its answer. */
export function fakeFunction(
	handler: (event: FakeEvent) => FakeAnswer | Promise<FakeAnswer>,
	{ asksAgain = true } = {},
): FakeProgram {
	return async (process) => {
		const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
		process.signal.addEventListener("abort", () => agent.destroy());
		const ended = new Promise<never>((_, reject) =>
			process.signal.addEventListener("abort", () => reject(new Error("killed"))),
		);
		ended.catch(() => {});
		const call = (method: string, path: string, body?: string) =>
			Promise.race([ended, runtimeCall(agent, process, method, path, body)]);
		for (;;) {
			await process.whenThawed();
			const next = await call("GET", "invocation/next");
			const requestId = String(next.headers["lambda-runtime-aws-request-id"]);
			const answer = await Promise.race([ended, handler({ requestId, payload: next.body, process })]);
			if (typeof answer === "string") await call("POST", `invocation/${requestId}/response`, answer);
			else if ("error" in answer) await call("POST", `invocation/${requestId}/error`, answer.error);
			else if ("exit" in answer) return answer.exit;
			else await ended;
			if (!asksAgain) await ended;
		}
	};
}

export function runtimeCall(agent: http.Agent, process: FakeProcess, method: string, path: string, body?: string) {
	const [hostname, port] = (process.env.AWS_LAMBDA_RUNTIME_API ?? "").split(":");
	return new Promise<{ status: number; headers: http.IncomingHttpHeaders; body: string }>((resolve, reject) => {
		const request = http.request({ agent, hostname, port, method, path: `/2018-06-01/runtime/${path}` }, (response) => {
			const chunks: Buffer[] = [];
			response.on("data", (chunk) => chunks.push(chunk));
			response.on("error", reject);
			response.on("end", () =>
				resolve({
					status: response.statusCode ?? 0,
					headers: response.headers,
					body: Buffer.concat(chunks).toString(),
				}),
			);
		});
		request.on("error", reject);
		request.end(body);
	});
}
