/** What the dispatcher tells of its sandboxes. */
import type { InitializationType } from "../../core/invocation/function-contract.ts";
import { isAvailable, type SandboxState } from "../../core/sandbox/sandbox-state.ts";
import type { FunctionSandbox } from "../sandbox/function-sandbox.ts";

export interface SandboxView {
	id: string;
	functionName: string;
	version: string;
	initializationType: InitializationType;
	/** Its init ran ahead of any event, though nobody had it provisioned. */
	preInitialized: boolean;
	state: SandboxState;
	startedMs: number;
	/** Milliseconds that its last start took, from its beginning to the end of its init; undefined before. */
	startMs: number | undefined;
	lastUsedMs: number;
	invocations: number;
	memoryMiB: number;
	memoryBytes?: number;
}

/** How many sandboxes there are now. */
export interface SandboxCensus {
	states: { [State in SandboxState]?: number };
	functions: Map<string, number>;
	provisioned: number;
	/** Created and not started, for no event yet. */
	spares: number;
	/** Initialised for no event yet. */
	initializedSpares: number;
}

export async function viewOf(sandbox: FunctionSandbox): Promise<SandboxView> {
	return {
		id: sandbox.id,
		functionName: sandbox.revision.name,
		version: sandbox.revision.version,
		initializationType: sandbox.initializationType,
		preInitialized: sandbox.preInitialized,
		state: sandbox.state,
		startedMs: sandbox.createdMs,
		startMs: sandbox.startMs,
		lastUsedMs: sandbox.lastUsedMs,
		invocations: sandbox.invocations,
		memoryMiB: sandbox.revision.configuration.memoryMiB,
		memoryBytes: await sandbox.memoryBytes(),
	};
}

export function censusOf(sandboxes: Iterable<FunctionSandbox>): SandboxCensus {
	const census: SandboxCensus = { states: {}, functions: new Map(), provisioned: 0, spares: 0, initializedSpares: 0 };
	for (const { state, revision, initializationType, preInitialized, invocations } of sandboxes) {
		census.states[state] = (census.states[state] ?? 0) + 1;
		census.functions.set(revision.name, (census.functions.get(revision.name) ?? 0) + 1);
		if (initializationType === "provisioned-concurrency") census.provisioned++;
		else if (state === "created") census.spares++;
		else if (preInitialized && invocations === 0 && isAvailable(state)) census.initializedSpares++;
	}
	return census;
}
