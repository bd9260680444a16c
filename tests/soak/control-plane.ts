import {
	CreateFunctionCommand,
	DeleteFunctionCommand,
	LambdaClient,
	waitUntilFunctionActiveV2,
} from "@aws-sdk/client-lambda";
import type { LocalDaemon } from "../../tools/local-daemon.ts";

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

	async delete(FunctionName: string): Promise<void> {
		await this.#client.send(new DeleteFunctionCommand({ FunctionName }));
	}

	[Symbol.dispose](): void {
		this.#client.destroy();
	}
}
