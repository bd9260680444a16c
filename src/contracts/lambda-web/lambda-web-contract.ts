import { type Clock, systemClock } from "../../base/clock.ts";
import type {
	ContractSession,
	Failure,
	FunctionContract,
	FunctionRevision,
	SandboxIdentity,
	SessionListener,
	SessionSetup,
} from "../../core/invocation/function-contract.ts";
import type { LifecycleEvent } from "../../core/invocation/lifecycle.ts";
import type { LambdaContract } from "../lambda/lambda-contract.ts";
import { adapterPath, webSettings } from "./settings.ts";
import { WebSession } from "./web-session.ts";

/**
 * Lambda's contract for container images, and for those of web servers that know of no Lambda: a revision whose environment
 * has AWS_LWA_PORT is one, unless its image brings AWS's Lambda Web Adapter, which then does the same by itself.
 */
export class LambdaWebContract implements FunctionContract {
	readonly #lambda: LambdaContract;
	readonly #clock: Clock;

	constructor(lambda: LambdaContract, clock: Clock = systemClock) {
		this.#lambda = lambda;
		this.#clock = clock;
	}

	get endpointVariable(): string {
		return this.#lambda.endpointVariable;
	}

	get companionFolder(): string {
		return this.#lambda.companionFolder;
	}

	get companionsDisabledBy(): string {
		return this.#lambda.companionsDisabledBy;
	}

	/** The server finds its port in PORT, as it does everywhere else; a function that sets PORT itself knows better. */
	process(revision: FunctionRevision, sandbox: SandboxIdentity) {
		const program = this.#lambda.process(revision, sandbox);
		const settings = webSettings(revision);
		if (!settings) return program;
		const { PORT = String(settings.port) } = revision.configuration.environment ?? {};
		return { ...program, env: { ...program.env, PORT } };
	}

	companions(files: readonly string[]): string[] {
		return this.#lambda.companions(files);
	}

	companionProcess(path: string, revision: FunctionRevision, sandbox: SandboxIdentity) {
		return this.#lambda.companionProcess(path, revision, sandbox);
	}

	openSession(listener: SessionListener, setup: SessionSetup): ContractSession {
		const settings = setup.companions.includes(adapterPath) ? undefined : webSettings(setup.revision);
		const session = this.#lambda.openSession(listener, setup);
		return settings ? new WebSession(session, settings, setup, this.#clock) : session;
	}

	failurePayload(failure: Failure, requestId: string): Uint8Array {
		return this.#lambda.failurePayload(failure, requestId);
	}

	failureType(failure: Failure): string {
		return this.#lambda.failureType(failure);
	}

	logLines(event: LifecycleEvent, revision: FunctionRevision, logStream: string): string[] {
		return this.#lambda.logLines(event, revision, logStream);
	}

	applicationLine(line: string, revision: FunctionRevision, nowMs: number) {
		return this.#lambda.applicationLine(line, revision, nowMs);
	}
}
