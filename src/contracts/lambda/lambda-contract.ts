import { type Clock, systemClock } from "../../base/clock.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type {
	FunctionContract,
	FunctionRevision,
	SandboxIdentity,
	SessionListener,
	SessionSetup,
} from "../../core/invocation/function-contract.ts";
import {
	extensionEnvironment,
	functionEnvironment,
	functionProcess,
	type TemporaryCredentials,
} from "./environment.ts";
import { failurePayload, failureType } from "./failures.ts";
import { type StreamingLimits, streamingLimits } from "./limits.ts";
import { applicationLine } from "./log-application.ts";
import { lambdaLogLines } from "./log-lines.ts";
import { SandboxApi } from "./sandbox-api.ts";

/** Unprivileged whatever the image's USER says; the numbers that AWS's own environments show (sbx_user1051). */
const sandboxUser = { uid: 993, gid: 990, name: "sbx_user1051", home: "/home/sbx_user1051" };

export interface LambdaContractOptions {
	region: string;
	ids: Ids;
	log: Log;
	clock?: Clock;
	/** The cloud's, unless said otherwise: a local installation may lift them (bytesPerSecond: Infinity). */
	streaming?: Partial<StreamingLimits>;
	/** Of one function's code; keys that open nothing where it is left out. */
	credentials?: (functionName: string) => TemporaryCredentials;
	/** Where the AWS SDKs in functions find the AWS API: `AWS_ENDPOINT_URL`, which an image or a function may set otherwise. */
	awsEndpoint?: string;
}

/** AWS Lambda's contract for container images. */
export class LambdaContract implements FunctionContract {
	readonly endpointVariable = "AWS_LAMBDA_RUNTIME_API";
	readonly companionFolder = "/opt/extensions";
	readonly companionsDisabledBy = "/opt/disable-extensions-jwigqn8j";
	readonly #api: SandboxApi;
	readonly #region: string;
	readonly #credentials: (functionName: string) => TemporaryCredentials;
	readonly #awsEndpoint: string | undefined;

	constructor(options: LambdaContractOptions) {
		const { region, ids, log, clock = systemClock, streaming, credentials, awsEndpoint } = options;
		this.#api = new SandboxApi({ log, clock, ids, streaming: { ...streamingLimits, ...streaming } });
		this.#region = region;
		this.#credentials = credentials ?? (() => uselessCredentials(ids));
		this.#awsEndpoint = awsEndpoint;
	}

	process(revision: FunctionRevision, sandbox: SandboxIdentity) {
		return { ...functionProcess(revision), env: this.#environment(revision, sandbox), user: sandboxUser };
	}

	/** By name, which is the order in which a folder is read in the cloud too (RIE, rapid/start.go). */
	companions(files: readonly string[]): string[] {
		if (files.includes(this.companionsDisabledBy)) return [];
		return files.filter((file) => file.startsWith(`${this.companionFolder}/`)).sort();
	}

	companionProcess(path: string, revision: FunctionRevision, sandbox: SandboxIdentity) {
		const { cwd } = functionProcess(revision);
		return { args: [path], env: extensionEnvironment(this.#environment(revision, sandbox)), cwd, user: sandboxUser };
	}

	openSession(listener: SessionListener, setup: SessionSetup) {
		return this.#api.openSession(listener, setup);
	}

	failurePayload = failurePayload;
	failureType = failureType;
	logLines = lambdaLogLines;
	applicationLine = applicationLine;

	#environment(revision: FunctionRevision, sandbox: SandboxIdentity): Record<string, string> {
		return functionEnvironment(revision, sandbox, {
			region: this.#region,
			credentials: this.#credentials(revision.name),
			awsEndpoint: this.#awsEndpoint,
		});
	}
}

/** Clients of the AWS SDKs insist on finding credentials. */
function uselessCredentials(ids: Ids): TemporaryCredentials {
	return {
		accessKeyId: `ASIA${ids.hex(8).toUpperCase()}`,
		secretAccessKey: ids.hex(20),
		sessionToken: ids.hex(32),
	};
}
