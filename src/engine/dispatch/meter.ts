import { type ColdStart, type ColdStartStage, coldStartStages, stageTotals } from "../../core/invocation/cold-start.ts";
import type { FunctionRevision } from "../../core/invocation/function-contract.ts";
import type { InvocationReport, LifecycleEvent } from "../../core/invocation/lifecycle.ts";
import { type Bounds, Histogram } from "./histogram.ts";

export type LifecycleReader = (event: LifecycleEvent, revision: FunctionRevision) => void;

/** What one function has done since the daemon started. */
export interface FunctionUsage {
	/** Events that a sandbox took, failed ones too. */
	invocations: number;
	errors: number;
	/** Events that were refused: by the limits of concurrency (429) … */
	throttles: number;
	/** … and because the platform could not serve them. */
	platformFailures: number;
	/** Events that had to wait for a start. */
	coldStarts: number;
	/** Of these, those whose sandbox stood created as a spare. */
	spareStarts: number;
	durationMs: number;
	billedMs: number;
	initMs: number;
	maxMemoryUsedMiB: number;
	/** From the hand-over of the event until everybody was done with it. */
	durations: Histogram | undefined;
	/** Of each cold start that there was. */
	stages: Record<ColdStartStage, Histogram> | undefined;
	lastColdStart: ColdStart | undefined;
}

const second = 1000;
/** From a native function's warm event to the longest timeout. */
const durationBounds: Bounds = [
	1,
	2.5,
	5,
	10,
	25,
	50,
	100,
	250,
	500,
	second,
	2.5 * second,
	5 * second,
	10 * second,
	30 * second,
	60 * second,
	300 * second,
	900 * second,
];
/** From the release of a spare to the limit of an init. */
const stageBounds: Bounds = [0.1, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, second, 2.5 * second, 10 * second];

/** Names that are kept before it is looked for the first time which of them are still functions. */
const firstPrune = 1000;

/** The counting reader of the lifecycle stream, and the place where further readers join it. Counting a warm event allocates nothing. */
export class Meter {
	readonly #usage = new Map<string, FunctionUsage>();
	readonly #readers: LifecycleReader[];
	readonly #exists: (functionName: string) => boolean;
	#pruneAt = firstPrune;

	/** `exists`: whether there is a function of this name; an event of one that was deleted may end after it. */
	constructor(readers: LifecycleReader[] = [], exists: (functionName: string) => boolean = () => true) {
		this.#readers = readers;
		this.#exists = exists;
	}

	record: LifecycleReader = (event, revision) => {
		this.#count(event, revision);
		for (const reader of this.#readers) reader(event, revision);
	};

	usage(functionName: string): Readonly<FunctionUsage> {
		return this.#usage.get(functionName) ?? noUsage();
	}

	/** Functions that have had events, with what they did. Those that are gone are forgotten. */
	all(): ReadonlyMap<string, Readonly<FunctionUsage>> {
		this.#prune();
		return this.#usage;
	}

	forget(functionName: string): void {
		this.#usage.delete(functionName);
	}

	#count(event: LifecycleEvent, revision: FunctionRevision): void {
		switch (event.type) {
			case "init-end":
				this.#of(revision.name).initMs += event.durationMs;
				return;
			case "invocation-end":
				return countInvocation(this.#of(revision.name), event.report);
			case "invocation-refused": {
				const usage = this.#of(revision.name);
				if (event.code === "THROTTLED") usage.throttles++;
				else usage.platformFailures++;
			}
		}
	}

	#of(functionName: string): FunctionUsage {
		let usage = this.#usage.get(functionName);
		if (!usage) {
			usage = noUsage();
			if (this.#usage.size >= this.#pruneAt) this.#prune();
			this.#usage.set(functionName, usage);
		}
		return usage;
	}

	#prune(): void {
		for (const name of this.#usage.keys()) if (!this.#exists(name)) this.#usage.delete(name);
		this.#pruneAt = Math.max(firstPrune, 2 * this.#usage.size);
	}
}

function countInvocation(usage: FunctionUsage, report: InvocationReport): void {
	usage.invocations++;
	if (report.failure) usage.errors++;
	usage.durationMs += report.durationMs;
	usage.billedMs += report.billedMs;
	usage.maxMemoryUsedMiB = Math.max(usage.maxMemoryUsedMiB, report.maxMemoryUsedMiB);
	usage.durations ??= new Histogram(durationBounds);
	usage.durations.observe(report.durationMs);
	if (report.coldStart) countColdStart(usage, report.coldStart);
}

function countColdStart(usage: FunctionUsage, coldStart: ColdStart): void {
	usage.coldStarts++;
	if (coldStart.spare) usage.spareStarts++;
	usage.lastColdStart = coldStart;
	usage.stages ??= {
		queue: new Histogram(stageBounds),
		sandbox: new Histogram(stageBounds),
		process: new Histogram(stageBounds),
		init: new Histogram(stageBounds),
		"first-poll": new Histogram(stageBounds),
	};
	const totals = stageTotals(coldStart);
	for (const stage of coldStartStages) usage.stages[stage].observe(totals[stage]);
}

function noUsage(): FunctionUsage {
	return {
		invocations: 0,
		errors: 0,
		throttles: 0,
		platformFailures: 0,
		coldStarts: 0,
		spareStarts: 0,
		durationMs: 0,
		billedMs: 0,
		initMs: 0,
		maxMemoryUsedMiB: 0,
		durations: undefined,
		stages: undefined,
		lastColdStart: undefined,
	};
}
