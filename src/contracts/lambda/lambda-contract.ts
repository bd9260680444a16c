import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type {
	FunctionContract,
	FunctionRevision,
	SandboxIdentity,
	SessionListener,
} from "../../core/invocation/function-contract.ts";
import type { LifecycleEvent } from "../../core/invocation/lifecycle.ts";
import { functionEnvironment, functionProcess } from "./environment.ts";
import { failurePayload } from "./failures.ts";
import { lambdaLogLines } from "./log-lines.ts";
import { RuntimeApi } from "./runtime-api.ts";

/** Unprivileged whatever the image's USER says; the numbers that AWS's own environments show (sbx_user1051). */
const sandboxUser = { uid: 993, gid: 990 };

/** AWS Lambda's contract for container images. */
export class LambdaContract implements FunctionContract {
	readonly endpointVariable = "AWS_LAMBDA_RUNTIME_API";
	readonly #api: RuntimeApi;
	readonly #region: string;
	readonly #ids: Ids;

	constructor(options: { region: string; ids: Ids; log: Log }) {
		this.#api = new RuntimeApi(options.log);
		this.#region = options.region;
		this.#ids = options.ids;
	}

	process(revision: FunctionRevision, sandbox: SandboxIdentity) {
		return {
			...functionProcess(revision),
			env: functionEnvironment(revision, sandbox, this.#region, this.#credentials()),
			user: sandboxUser,
		};
	}

	openSession(listener: SessionListener) {
		return this.#api.openSession(listener);
	}

	failurePayload = failurePayload;

	logLines(event: LifecycleEvent, revision: FunctionRevision): string[] {
		return lambdaLogLines(event, revision);
	}

	/**
	 * Clients of the AWS SDKs insist on finding credentials. Until workloads have identities of their own these open
	 * nothing: never the installation's keys.
	 */
	#credentials() {
		return {
			accessKeyId: `ASIA${this.#ids.hex(8).toUpperCase()}`,
			secretAccessKey: this.#ids.hex(20),
			sessionToken: this.#ids.hex(32),
		};
	}
}
