import { setTimeout as sleep } from "node:timers/promises";
import { findBuilder } from "../tools/builder.ts";
import { buildExample, type Example, readExample } from "../tools/examples.ts";
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { type Answer, HttpConnection, signedRequest } from "./http-connection.ts";

/** A function is Pending for well under a second when its image is small. */
const activeTimeoutMs = 120_000;
/** Sandboxes are made and removed in some hundredths of a second each. */
const quietTimeoutMs = 30_000;
const pollMs = 15;
/** Several times what it takes the daemon to look after its sandboxes again. */
const restMs = 500;

export interface SandboxView {
	id: string;
	functionName: string;
	state: string;
	memoryBytes?: number;
}

interface ServiceView {
	status: { conditions: { type: string; status: string; message?: string }[] };
}

/** States in which the daemon works on a sandbox by itself. */
const restless: ReadonlySet<string> = new Set(["creating", "initializing", "resetting", "draining"]);

/** The few calls that benches and the soak need, without the AWS CLI's 700 ms each. */
export class SlipwayClient {
	readonly #daemon: LocalDaemon;
	readonly #connection: HttpConnection;
	#updates = 0;

	private constructor(daemon: LocalDaemon, connection: HttpConnection) {
		this.#daemon = daemon;
		this.#connection = connection;
	}

	static async open(daemon: LocalDaemon): Promise<SlipwayClient> {
		return new SlipwayClient(daemon, await HttpConnection.open(daemon.url));
	}

	close(): void {
		this.#connection.close();
	}

	invokeRequest(functionName: string, event: unknown, headers: Record<string, string> = {}): Buffer {
		const path = `/2015-03-31/functions/${functionName}/invocations`;
		return this.#sign("POST", path, JSON.stringify(event), headers);
	}

	send(request: Buffer): Promise<Answer> {
		return this.#connection.send(request);
	}

	async createFunction(
		name: string,
		imageUri: string,
		options: { timeoutS?: number; memoryMiB?: number; activeTimeoutMs?: number } = {},
	): Promise<void> {
		const body = {
			FunctionName: name,
			PackageType: "Image",
			Code: { ImageUri: imageUri },
			Role: this.#daemon.roleArn,
			Timeout: options.timeoutS ?? 10,
			MemorySize: options.memoryMiB ?? 128,
		};
		const answer = await this.send(this.#sign("POST", "/2015-03-31/functions", JSON.stringify(body)));
		if (answer.status !== 201) throw new Error(`CreateFunction answered ${answer.status}: ${answer.body}`);
		await this.#untilReady(name, options.activeTimeoutMs);
	}

	/** Ends its sandboxes, as every change of a configuration does: the next invocation is a cold start. */
	async toZero(name: string): Promise<void> {
		const path = `/2015-03-31/functions/${name}/configuration`;
		const body = JSON.stringify({ Description: `to zero ${++this.#updates}` });
		const answer = await this.send(this.#sign("PUT", path, body));
		if (answer.status !== 200) throw new Error(`UpdateFunctionConfiguration answered ${answer.status}: ${answer.body}`);
		await this.#untilReady(name);
	}

	/** How many sandboxes of it stand ready before an event comes, from now on. */
	async setSpares(name: string, spares: { created?: number; initialized?: number }): Promise<void> {
		await this.#api("PUT", `/functions/${name}/spares`, spares);
	}

	/** Creates it in the profile "knative" and waits until it is ready; `annotations` are the revision template's. */
	async createService(
		name: string,
		image: string,
		options: { concurrency?: number; annotations?: Record<string, string> } = {},
	): Promise<void> {
		const { concurrency = 0, annotations = {} } = options;
		const template = {
			metadata: { annotations },
			spec: { containerConcurrency: concurrency, containers: [{ image }] },
		};
		const manifest = { apiVersion: "serving.knative.dev/v1", kind: "Service", metadata: { name }, spec: { template } };
		await this.#api("POST", "/services?profile=knative", manifest);
		for (const until = performance.now() + activeTimeoutMs; performance.now() < until; await sleep(pollMs)) {
			const { status } = await this.#api<ServiceView>("GET", `/services/default/${name}`);
			const ready = status.conditions.find(({ type }) => type === "Ready");
			if (ready?.status === "True") return;
			if (ready?.status === "False") throw new Error(`The service ${name} failed: ${ready.message}`);
		}
		throw new Error(`The service ${name} did not become ready`);
	}

	/** Ends the service's instances, which have to be without a request: the next one is a cold start. Resolves with how many they were. */
	async stopService(name: string): Promise<number> {
		return (await this.#api<{ instances: number }>("POST", `/services/default/${name}/stop`)).instances;
	}

	async #untilReady(name: string, timeoutMs = activeTimeoutMs): Promise<void> {
		const path = `/2015-03-31/functions/${name}/configuration`;
		for (const until = performance.now() + timeoutMs; performance.now() < until; await sleep(pollMs)) {
			const answer = await this.send(this.#sign("GET", path, ""));
			const view = JSON.parse(String(answer.body)) as Record<"State" | "StateReason" | "LastUpdateStatus", string>;
			if (view.State === "Failed") throw new Error(`The function ${name} failed: ${view.StateReason}`);
			if (view.State === "Active" && view.LastUpdateStatus === "Successful") return;
		}
		throw new Error(`The function ${name} did not become Active`);
	}

	async sandboxes(): Promise<SandboxView[]> {
		return (await this.#api<{ sandboxes: SandboxView[] }>("GET", "/sandboxes")).sandboxes;
	}

	/** Waits until the daemon makes and removes no sandbox, and the functions' sandboxes are as wanted. */
	async quiet(isAsWanted: (sandboxes: SandboxView[]) => boolean = () => true): Promise<void> {
		let sandboxes: SandboxView[] = [];
		for (const until = performance.now() + quietTimeoutMs; performance.now() < until; await sleep(pollMs)) {
			sandboxes = await this.sandboxes();
			if (!sandboxes.some(({ state }) => restless.has(state)) && isAsWanted(sandboxes)) return;
		}
		const found = sandboxes.map(({ functionName, state }) => `${functionName} ${state}`);
		throw new Error(`The daemon did not become quiet: ${found.join(", ")}`);
	}

	/** Waits until nothing has changed among the sandboxes for a while: sandboxes ahead of demand are made one after the other. */
	async rest(): Promise<void> {
		let before = "";
		let since = performance.now();
		for (const until = performance.now() + quietTimeoutMs; performance.now() < until; await sleep(pollMs * 4)) {
			const now = JSON.stringify((await this.sandboxes()).map(({ id, state }) => [id, state]));
			if (now !== before) since = performance.now();
			else if (performance.now() - since >= restMs) return;
			before = now;
		}
		throw new Error("The daemon did not come to rest");
	}

	/** A call of the native API. */
	async #api<T>(method: string, path: string, input?: object): Promise<T> {
		const { registry, credentials } = this.#daemon;
		const body = input === undefined ? "" : JSON.stringify(input);
		const lines = [
			`${method} /_slipway${path} HTTP/1.1`,
			`host: ${registry}`,
			`authorization: Bearer ${credentials.token}`,
			"content-type: application/json",
			`content-length: ${Buffer.byteLength(body)}`,
		];
		const answer = await this.send(Buffer.from(`${lines.join("\r\n")}\r\n\r\n${body}`));
		if (answer.status !== 200) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.body}`);
		return JSON.parse(String(answer.body)) as T;
	}

	#sign(method: string, path: string, body: string, headers: Record<string, string> = {}): Buffer {
		const { url, region, credentials } = this.#daemon;
		return signedRequest({ url, method, path, body, region, headers }, credentials);
	}
}

/** The answer, which has to be a function's good one. */
export function mustBeGood(answer: Answer): Answer {
	if (answer.status === 200 && !/^x-amz-function-error:/im.test(answer.head)) return answer;
	throw new Error(`An invocation answered ${answer.status}: ${answer.body}`);
}

export interface ColdStart {
	/** Milliseconds that making the sandbox took; about none when one stood ready. */
	sandboxMs: number;
	/** From the release of its process to its first poll: the stages process and init. */
	initMs: number;
}

/** What the answer's header says of its cold start; undefined when it had none. */
export function coldStartOf(answer: Answer): ColdStart | undefined {
	const timing = /^server-timing: *(.+)$/im.exec(answer.head)?.[1];
	if (timing === undefined) return undefined;
	const duration = (name: string) => Number(new RegExp(`\\b${name};dur=([\\d.]+)`).exec(timing)?.[1]);
	return { sandboxMs: duration("sandbox"), initMs: duration("process") + duration("init") };
}

/** Builds the example and pushes it; returns its name in the registry. */
export async function pushExample(daemon: LocalDaemon, example: Example): Promise<string> {
	const builder = await findBuilder();
	await buildExample(example, builder, (line) => console.error(line));
	const target = `${daemon.registry}/${example.image}:latest`;
	await builder.push(example.image, target, { username: "AWS", password: daemon.credentials.registryPassword });
	return target;
}

export async function pushStaticImage(daemon: LocalDaemon): Promise<string> {
	return pushExample(daemon, await readExample("static"));
}
