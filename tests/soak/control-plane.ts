import { setTimeout as sleep } from "node:timers/promises";
import {
	CreateAliasCommand,
	CreateFunctionCommand,
	DeleteFunctionCommand,
	GetProvisionedConcurrencyConfigCommand,
	LambdaClient,
	PublishVersionCommand,
	PutProvisionedConcurrencyConfigCommand,
	waitUntilFunctionActiveV2,
} from "@aws-sdk/client-lambda";
import type { LocalDaemon } from "../../tools/local-daemon.ts";

const provisionMs = 60_000;

/** Makes and removes functions with the AWS SDK. */
export class ControlPlane implements Disposable {
	readonly #daemon: LocalDaemon;
	readonly #client: LambdaClient;

	constructor(daemon: LocalDaemon) {
		const { accessKeyId, secretAccessKey } = daemon.credentials;
		this.#daemon = daemon;
		this.#client = new LambdaClient({
			endpoint: daemon.url,
			region: daemon.region,
			credentials: { accessKeyId, secretAccessKey },
			maxAttempts: 1,
		});
	}

	/** Resolves when the function is Active. */
	async create(
		FunctionName: string,
		ImageUri: string,
		options: { timeoutS: number; variables?: Record<string, string> },
	): Promise<void> {
		await this.#client.send(
			new CreateFunctionCommand({
				FunctionName,
				Role: this.#daemon.roleArn,
				PackageType: "Image",
				Code: { ImageUri },
				Timeout: options.timeoutS,
				...(options.variables ? { Environment: { Variables: options.variables } } : {}),
			}),
		);
		await waitUntilFunctionActiveV2(
			{ client: this.#client, maxWaitTime: 60, minDelay: 0.1, maxDelay: 0.5 },
			{ FunctionName },
		);
	}

	/** Publishes a version and names it. */
	async publish(FunctionName: string, alias: string): Promise<void> {
		const { Version } = await this.#client.send(new PublishVersionCommand({ FunctionName }));
		await this.#client.send(new CreateAliasCommand({ FunctionName, Name: alias, FunctionVersion: Version }));
	}

	/** Resolves when the sandboxes stand ready. */
	async provision(FunctionName: string, Qualifier: string, count: number): Promise<void> {
		const of = { FunctionName, Qualifier };
		await this.#client.send(
			new PutProvisionedConcurrencyConfigCommand({ ...of, ProvisionedConcurrentExecutions: count }),
		);
		for (const until = performance.now() + provisionMs; ; await sleep(50)) {
			const { Status, StatusReason } = await this.#client.send(new GetProvisionedConcurrencyConfigCommand(of));
			if (Status === "READY") return;
			if (Status === "FAILED" || performance.now() > until)
				throw new Error(`${FunctionName}:${Qualifier} is not provisioned: ${Status} ${StatusReason ?? ""}`);
		}
	}

	async delete(FunctionName: string): Promise<void> {
		await this.#client.send(new DeleteFunctionCommand({ FunctionName }));
	}

	[Symbol.dispose](): void {
		this.#client.destroy();
	}
}
