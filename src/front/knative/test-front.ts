/** For tests: the front on a random port of loopback over services in memory, and a client of it. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { ServiceUseCases } from "../../engine/services/types.ts";
import { FakeServices } from "./fake-services.ts";
import { createKnativeFront } from "./knative-front.ts";

export const token = "test-token";
export const apiPath = "/apis/serving.knative.dev/v1";
export const defaultPath = `${apiPath}/namespaces/default`;

export interface Answer {
	status: number;
	headers: Headers;
	// biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever was answered
	body: any;
}

export interface TestFront<Services extends ServiceUseCases> extends AsyncDisposable {
	url: string;
	services: Services;
	close: AbortController;
	/** Errors that were logged: there should be none. */
	errors: unknown[];
	call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
	/** A watch's events, parsed, until it ends or the signal aborts. */
	events(path: string, signal?: AbortSignal): AsyncGenerator<{ type: string; object: Answer["body"] }>;
}

export function startFront(): Promise<TestFront<FakeServices>> {
	return startFrontOver(new FakeServices());
}

export async function startFrontOver<Services extends ServiceUseCases>(
	services: Services,
): Promise<TestFront<Services>> {
	const close = new AbortController();
	const errors: unknown[] = [];
	const ignore = () => {};
	const log: Log = {
		debug: ignore,
		info: ignore,
		warn: ignore,
		error: (message, fields) => errors.push({ message, ...fields }),
	};
	const front = createKnativeFront({
		services,
		authenticate: (credential) => {
			const given = credential.kind === "bearer" ? credential.token : credential.password;
			return given === token ? { user: credential.kind === "basic" ? credential.user : "admin" } : undefined;
		},
		clock: systemClock,
		log,
		version: "0.1.0",
		closing: close.signal,
	});
	const server = createServer((request, response) => void front.handle(request, response));
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	return {
		url,
		services,
		close,
		errors,
		call: (method, path, body, headers = {}) => call(url, method, path, body, headers),
		events: (path, signal) => events(url, path, signal),
		async [Symbol.asyncDispose]() {
			close.abort();
			server.closeAllConnections();
			server.close();
			await once(server, "close");
		},
	};
}

export function manifest(name: string, more: Record<string, unknown> = {}): Record<string, unknown> {
	return {
		apiVersion: "serving.knative.dev/v1",
		kind: "Service",
		metadata: { name, ...more },
		spec: { template: { spec: { containers: [{ image: "registry.example/hello:1" }] } } },
	};
}

async function call(
	url: string,
	method: string,
	path: string,
	body: unknown,
	headers: Record<string, string>,
): Promise<Answer> {
	const response = await fetch(url + path, {
		method,
		headers: {
			Authorization: `Bearer ${token}`,
			...(body !== undefined && { "Content-Type": "application/json" }),
			...headers,
		},
		...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
	});
	const text = await response.text();
	const isJson = response.headers.get("content-type") === "application/json";
	return { status: response.status, headers: response.headers, body: isJson && text !== "" ? JSON.parse(text) : text };
}

async function* events(url: string, path: string, signal?: AbortSignal): ReturnType<TestFront<FakeServices>["events"]> {
	const response = await fetch(url + path, {
		headers: { Authorization: `Bearer ${token}` },
		...(signal && { signal }),
	});
	if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
	let rest = "";
	const decoder = new TextDecoder();
	for await (const bytes of response.body as ReadableStream<Uint8Array>) {
		const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
		rest = lines.pop() ?? "";
		for (const line of lines) yield JSON.parse(line);
	}
}
