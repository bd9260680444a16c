import type { FunctionRevision } from "../../core/invocation/function-contract.ts";
import type { LifecycleEvent } from "../../core/invocation/lifecycle.ts";

export type LifecycleReader = (event: LifecycleEvent, revision: FunctionRevision) => void;

/** What one function has done since the daemon started. */
export interface FunctionUsage {
	invocations: number;
	errors: number;
	coldStarts: number;
	durationMs: number;
	billedMs: number;
	initMs: number;
	maxMemoryUsedMiB: number;
}

/** The counting reader of the lifecycle stream, and the place where further readers join it. */
export class Meter {
	readonly #usage = new Map<string, FunctionUsage>();
	readonly #readers: LifecycleReader[];

	constructor(readers: LifecycleReader[] = []) {
		this.#readers = readers;
	}

	record: LifecycleReader = (event, revision) => {
		this.#count(event, revision);
		for (const reader of this.#readers) reader(event, revision);
	};

	usage(functionName: string): FunctionUsage {
		return this.#usage.get(functionName) ?? noUsage();
	}

	forget(functionName: string): void {
		this.#usage.delete(functionName);
	}

	#count(event: LifecycleEvent, revision: FunctionRevision): void {
		if (event.type !== "init-end" && event.type !== "invocation-end") return;
		let usage = this.#usage.get(revision.name);
		if (!usage) {
			usage = noUsage();
			this.#usage.set(revision.name, usage);
		}
		if (event.type === "init-end") {
			// Neither what is initialised before any event, nor a second try inside of one.
			if (event.phase === "init" && event.initializationType === "on-demand") usage.coldStarts++;
			usage.initMs += event.durationMs;
			return;
		}
		usage.invocations++;
		if (event.report.failure) usage.errors++;
		usage.durationMs += event.report.durationMs;
		usage.billedMs += event.report.billedMs;
		usage.maxMemoryUsedMiB = Math.max(usage.maxMemoryUsedMiB, event.report.maxMemoryUsedMiB);
	}
}

function noUsage(): FunctionUsage {
	return { invocations: 0, errors: 0, coldStarts: 0, durationMs: 0, billedMs: 0, initMs: 0, maxMemoryUsedMiB: 0 };
}
