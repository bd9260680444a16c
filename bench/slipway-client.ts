import { setTimeout as sleep } from "node:timers/promises";
import { findBuilder } from "../tools/builder.ts";
import { buildExample, readExample } from "../tools/examples.ts";
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { type Answer, HttpConnection, signedRequest } from "./http-connection.ts";

/** A function is Pending for well under a second when its image is small. */
const activeTimeoutMs = 60_000;

/** The few AWS calls that benches and the soak need, without the AWS CLI's 700 ms each. */
export class SlipwayClient {
	readonly #daemon: LocalDaemon;
	readonly #connection: HttpConnection;

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

	async createFunction(name: string, imageUri: string, options: { timeoutS?: number; memoryMiB?: number } = {}): Promise<void> {
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
		for (const until = performance.now() + activeTimeoutMs; performance.now() < until; await sleep(20)) {
			const state = await this.send(this.#sign("GET", `/2015-03-31/functions/${name}/configuration`, ""));
			const { State, StateReason } = JSON.parse(String(state.body)) as { State?: string; StateReason?: string };
			if (State === "Active") return;
			if (State === "Failed") throw new Error(`The function ${name} failed: ${StateReason}`);
		}
		throw new Error(`The function ${name} did not become Active`);
	}

	#sign(method: string, path: string, body: string, headers: Record<string, string> = {}): Buffer {
		const { url, region, credentials } = this.#daemon;
		return signedRequest({ url, method, path, body, region, headers }, credentials);
	}
}

/** Builds the static example and pushes it; returns its name in the registry. */
export async function pushStaticImage(daemon: LocalDaemon): Promise<string> {
	const builder = await findBuilder();
	const example = await readExample("static");
	await buildExample(example, builder, (line) => console.error(line));
	const target = `${daemon.registry}/${example.image}:latest`;
	await builder.push(example.image, target, { username: "AWS", password: daemon.credentials.registryPassword });
	return target;
}
