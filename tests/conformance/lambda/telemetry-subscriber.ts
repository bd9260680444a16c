/** A server that takes telemetry on this machine's loopback interface, as an extension's does inside of its sandbox. */
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type net from "node:net";
import {
	openTestSession,
	type TestSession,
	type TestSessionOptions,
} from "../../../src/contracts/lambda/testing/test-session.ts";

export interface TelemetryRecord {
	time: string;
	type: string;
	record: unknown;
}

export class Subscriber implements AsyncDisposable {
	readonly batches: { method: string; path: string; records: TelemetryRecord[] }[] = [];
	status = 200;
	readonly #server = http.createServer((request, response) => {
		const chunks: Buffer[] = [];
		request.on("data", (chunk) => chunks.push(chunk));
		request.on("end", () => {
			const { method = "", url: path = "" } = request;
			this.batches.push({ method, path, records: JSON.parse(Buffer.concat(chunks).toString()) });
			response.writeHead(this.status).end();
		});
	});

	async listen(): Promise<this> {
		this.#server.listen(0, "127.0.0.1");
		await once(this.#server, "listening");
		return this;
	}

	get port(): number {
		return (this.#server.address() as net.AddressInfo).port;
	}

	get destination() {
		return { protocol: "HTTP", URI: `http://sandbox.localdomain:${this.port}/telemetry` };
	}

	get records(): TelemetryRecord[] {
		return this.batches.flatMap(({ records }) => records);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#server.closeAllConnections();
		this.#server.close();
		await once(this.#server, "close");
	}
}

export const buffering = { timeoutMs: 25 };
export const types = ["platform", "function", "extension"];

export async function opened(
	options: TestSessionOptions,
	body: (test: TestSession, subscriber: Subscriber) => Promise<void>,
): Promise<void> {
	await using subscriber = await new Subscriber().listen();
	await using test = await openTestSession({ companions: ["/opt/extensions/ext"], ...options });
	await body(test, subscriber);
}

export function subscribe(test: TestSession, id: string, body: object | string, api = "2022-07-01/telemetry") {
	return test.call("PUT", `/${api}`, typeof body === "string" ? body : JSON.stringify(body), {
		"Lambda-Extension-Identifier": id,
	});
}

export async function subscribed(
	test: TestSession,
	subscriber: Subscriber,
	more: object = {},
	api?: string,
): Promise<string> {
	const id = await test.register("ext", ["INVOKE", "SHUTDOWN"]);
	const body = { schemaVersion: "2022-07-01", types, buffering, destination: subscriber.destination, ...more };
	const answer = await subscribe(test, id, body, api);
	assert.deepEqual([answer.status, answer.body], [200, '"OK"']);
	return id;
}
