/** A session behind a real listener on loopback, and clients that speak as a sandbox's processes do. For tests. */
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { type Clock, systemClock } from "../../../base/clock.ts";
import { randomIds } from "../../../base/ids.ts";
import { silentLog } from "../../../base/log.ts";
import type { FunctionConfiguration } from "../../../core/function/function.ts";
import type {
	DeliveredEvent,
	FunctionRevision,
	RuntimeFailure,
	SessionSetup,
} from "../../../core/invocation/function-contract.ts";
import type { LifecycleEvent } from "../../../core/invocation/lifecycle.ts";
import { type StreamingLimits, streamingLimits } from "../limits.ts";
import { SandboxApi } from "../sandbox-api.ts";
import type { SandboxSession } from "../sandbox-session.ts";

export interface Answer {
	status: number;
	headers: http.IncomingHttpHeaders;
	body: string;
}

export interface SeenByEngine {
	companionsReady: number;
	ready: number;
	initErrors: RuntimeFailure[];
	responses: string[];
	streamed: { bytes: number; failure: RuntimeFailure | undefined }[];
	errors: RuntimeFailure[];
	companionErrors: [path: string, errorType: string][];
	lifecycle: LifecycleEvent[];
}

export interface TestSessionOptions {
	companions?: string[];
	streaming?: Partial<StreamingLimits>;
	clock?: Clock;
	configuration?: Partial<FunctionConfiguration>;
	/** Instead of the loopback interface's own ports. */
	connect?: SessionSetup["connect"];
}

export class TestSession implements AsyncDisposable {
	readonly session: SandboxSession;
	readonly seen: SeenByEngine = {
		companionsReady: 0,
		ready: 0,
		initErrors: [],
		responses: [],
		streamed: [],
		errors: [],
		companionErrors: [],
		lifecycle: [],
	};
	readonly #server: net.Server;
	readonly #agent = new http.Agent({ keepAlive: true });
	port = 0;

	constructor(options: TestSessionOptions = {}) {
		const { seen } = this;
		const api = new SandboxApi({
			log: silentLog,
			clock: options.clock ?? systemClock,
			ids: randomIds,
			streaming: { ...streamingLimits, ...options.streaming },
		});
		this.session = api.openSession(
			{
				onCompanionsReady: () => seen.companionsReady++,
				onReady: () => seen.ready++,
				onInitError: (error) => seen.initErrors.push(error),
				onAnswering: () => {},
				onResponse: (payload) => seen.responses.push(Buffer.from(payload).toString()),
				onStreamed: (end) => seen.streamed.push(end),
				onError: (error) => seen.errors.push(error),
				onCompanionError: (path, errorType) => seen.companionErrors.push([path, errorType]),
				onLifecycle: (event) => {
					seen.lifecycle.push(event);
					this.session.onLifecycle(event);
				},
			},
			{
				id: "fn-1",
				logStream: "2026/11/21/[$LATEST]0123456789abcdef0123456789abcdef",
				initializationType: "on-demand",
				revision: testRevision(options.configuration),
				companions: options.companions ?? [],
				connect: options.connect ?? connectLoopback,
			},
		);
		this.#server = net.createServer((socket) => this.session.onConnection(socket));
	}

	async listen(): Promise<this> {
		this.#server.listen(0, "127.0.0.1");
		await once(this.#server, "listening");
		this.port = (this.#server.address() as net.AddressInfo).port;
		return this;
	}

	call(
		method: string,
		path: string,
		body?: string | Buffer,
		headers: http.OutgoingHttpHeaders = {},
		signal?: AbortSignal,
	): Promise<Answer> {
		const answered = new Promise<Answer>((resolve, reject) => {
			const request = http.request(
				{ host: "127.0.0.1", port: this.port, method, path, headers, agent: this.#agent, ...(signal && { signal }) },
				(response) => {
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
				},
			);
			request.on("error", reject);
			request.end(body);
		});
		// A poll that still waits when the session closes is nobody's business.
		answered.catch(() => {});
		return answered;
	}

	/** Of the Runtime API. */
	runtime(method: string, path: string, body?: string | Buffer, headers?: http.OutgoingHttpHeaders): Promise<Answer> {
		return this.call(method, `/2018-06-01/runtime/${path}`, body, headers);
	}

	/** Of the Extensions API. */
	extension(
		method: string,
		path: string,
		id: string | undefined,
		headers: http.OutgoingHttpHeaders = {},
	): Promise<Answer> {
		return this.call(method, `/2020-01-01/extension/${path}`, undefined, {
			...(id && { "Lambda-Extension-Identifier": id }),
			...headers,
		});
	}

	/** Registers and returns the identifier. */
	async register(name: string, events: string[]): Promise<string> {
		const answer = await this.call("POST", "/2020-01-01/extension/register", JSON.stringify({ events }), {
			"Lambda-Extension-Name": name,
		});
		assert.equal(answer.status, 200, answer.body);
		return String(answer.headers["lambda-extension-identifier"]);
	}

	/** The runtime's `next`, and the event that it is given. */
	async invoke(event: DeliveredEvent): Promise<Answer> {
		const ready = this.seen.ready;
		const next = this.runtime("GET", "invocation/next");
		await until(() => this.seen.ready > ready);
		this.session.deliver(event);
		return next;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.session.close();
		this.#agent.destroy();
		this.#server.close();
		await once(this.#server, "close");
	}
}

export function openTestSession(options?: TestSessionOptions): Promise<TestSession> {
	return new TestSession(options).listen();
}

export async function until(condition: () => boolean, ms = 5000): Promise<void> {
	const end = Date.now() + ms;
	while (!condition()) {
		assert.ok(Date.now() < end, "what was waited for did not happen");
		await new Promise((resolve) => setTimeout(resolve, 1));
	}
}

export async function connectLoopback(port: number): Promise<net.Socket> {
	const socket = net.connect(port, "127.0.0.1");
	await once(socket, "connect");
	return socket;
}

export function testEvent(requestId: string, payload = "{}", more: Partial<DeliveredEvent> = {}): DeliveredEvent {
	return {
		requestId,
		payload: Buffer.from(payload),
		invokedArn: "arn:aws:lambda:us-east-1:123456789012:function:f",
		deadlineMs: 1_700_000_000_123.4,
		...more,
	};
}

export function testRevision(configuration: Partial<FunctionConfiguration> = {}): FunctionRevision {
	return {
		name: "f",
		arn: "arn:aws:lambda:us-east-1:123456789012:function:f",
		version: "$LATEST",
		id: "r1",
		configuration: {
			description: "",
			role: "arn:aws:iam::123456789012:role/r",
			memoryMiB: 256,
			timeoutS: 3,
			tmpMiB: 512,
			architecture: "x86_64",
			environment: undefined,
			imageConfig: undefined,
			tracingMode: "PassThrough",
			logFormat: "Text",
			applicationLogLevel: undefined,
			systemLogLevel: undefined,
			logGroup: "/aws/lambda/f",
			...configuration,
		},
		image: {
			diffIds: [],
			entrypoint: ["/lambda-entrypoint.sh"],
			cmd: ["app.handler"],
			env: {},
			workingDir: "/var/task",
			user: "",
			architecture: "amd64",
			size: 1,
		},
	};
}
