import { createHash } from "node:crypto";
import { Semaphore } from "../../base/semaphore.ts";
import type { Append, LogChange } from "../../core/message-log/message-log.ts";
import type { ResourceChange } from "../../core/resource/resource-store.ts";
import { parseScheduleExpression } from "../../core/schedule-expression/schedule-expression.ts";
import type { TickPlan } from "./due-ticks.ts";
import { ruleEvent, type ScheduledEvent } from "./scheduled-event.ts";
import { type Firing, TickTimer } from "./tick-timer.ts";
import type { SchedulesDeps } from "./types.ts";

export interface RuleTicksDeps
	extends Pick<SchedulesDeps, "store" | "log" | "clock" | "logger" | "region" | "accountId" | "missed" | "lookMs"> {}

export interface RuleTick {
	/** Epoch milliseconds. */
	scheduledMs: number;
	/** Of the event: the same one whenever the tick is tried. */
	id: string;
	event: Readonly<ScheduledEvent & Record<string, unknown>>;
}

/** Appends for each of the rule's targets, and for archives. */
type Changes = (tick: RuleTick) => LogChange[];

interface KnownRule {
	expression: string;
	/** When it got this expression, or was switched on: its ticks are after that. */
	sinceMs: number;
	lastMs: number | undefined;
	changes: Changes;
}

/** The last tick that was fired or left out; of a rule as it was since then, as another schedule begins anew. */
interface Progress {
	sinceMs: number;
	lastMs: number;
}

const progressKind = "rule-schedule";
const maxWaitingChanges = 10_000;
/** EventBridge tries a day; a tick that is later is left out. */
const maxLateMs = 86_400_000;
const deduplicationWindowMs = maxLateMs + 2 * 3_600_000;

/**
 * Fires the rules of buses that have a schedule: a tick is one commit that appends it to the lanes of all of the rule's targets,
 * under a key of rule and time. Times are UTC (eb-scheduled-rule-pattern.html).
 */
export class RuleTicks implements AsyncDisposable {
	readonly #deps: RuleTicksDeps;
	readonly #timer: TickTimer;
	readonly #rules = new Map<string, KnownRule>();
	readonly #stored: Map<string, Progress>;
	readonly #turn = new Semaphore(1, maxWaitingChanges);

	private constructor(deps: RuleTicksDeps, stored: Map<string, Progress>) {
		this.#deps = deps;
		this.#stored = stored;
		const { clock, logger, lookMs } = deps;
		this.#timer = new TickTimer({ clock, logger, lookMs, fire: (firings) => this.#fire(firings) });
	}

	/** Opened before whatever has the rules, which then defines each of them. */
	static async open(deps: RuleTicksDeps): Promise<RuleTicks> {
		const documents = await deps.store.list(progressKind);
		return new RuleTicks(deps, new Map(documents.map(({ name, document }) => [name, document as Progress])));
	}

	start(): void {
		this.#timer.start();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#timer[Symbol.asyncDispose]();
	}

	/** Fires from now on; replaces a rule of the same ARN, which goes on with its ticks unless `sinceMs` is another. INVALID. */
	define(ruleArn: string, { expression, sinceMs }: { expression: string; sinceMs: number }, changes: Changes): void {
		const known = this.#rules.get(ruleArn) ?? this.#stored.get(ruleArn);
		this.#stored.delete(ruleArn);
		const lastMs = known?.sinceMs === sinceMs ? known.lastMs : undefined;
		const rule: KnownRule = { expression, sinceMs, lastMs, changes };
		this.#timer.set(ruleArn, this.#plan(rule));
		this.#rules.set(ruleArn, rule);
	}

	/** It is deleted or switched off. Nothing when it is not there. */
	remove(ruleArn: string): Promise<void> {
		this.#timer.delete(ruleArn);
		this.#stored.delete(ruleArn);
		if (!this.#rules.delete(ruleArn)) return Promise.resolve();
		const deletion: ResourceChange = { change: "delete", kind: progressKind, namespace: "", name: ruleArn };
		return this.#turn.run(() => (this.#rules.has(ruleArn) ? Promise.resolve() : this.#deps.store.commit([deletion])));
	}

	#plan({ expression, sinceMs, lastMs }: KnownRule): TickPlan {
		return {
			schedule: parseScheduleExpression(expression, { dialect: "rule", anchorMs: sinceMs }),
			// "The countdown begins when you create the rule": a rate's first tick is one period later.
			afterMs: lastMs ?? sinceMs,
			windowMs: 0,
			seed: "",
			missed: this.#deps.missed ?? "one",
			maxLateMs,
		};
	}

	#fire(firings: readonly Firing[]): Promise<void> {
		return this.#turn.run(async () => {
			const appends = firings.flatMap(({ key, fire }) =>
				fire.flatMap((scheduledMs) => this.#appends(key, scheduledMs)),
			);
			if (appends.length > 0) await this.#deps.log.commit(appends);
			const written = firings.flatMap(({ key, lastMs }) => this.#progress(key, lastMs));
			if (written.length > 0) await this.#deps.store.commit(written);
		});
	}

	#progress(ruleArn: string, lastMs: number): ResourceChange[] {
		const rule = this.#rules.get(ruleArn);
		// One that begins anew was defined while the log wrote: the tick was the old one's.
		if (!rule || lastMs <= rule.sinceMs) return [];
		rule.lastMs = lastMs;
		const document: Progress = { sinceMs: rule.sinceMs, lastMs };
		return [{ change: "put", kind: progressKind, namespace: "", name: ruleArn, document }];
	}

	#appends(ruleArn: string, scheduledMs: number): LogChange[] {
		const rule = this.#rules.get(ruleArn);
		if (!rule) return [];
		const id = uuidOf(`${ruleArn}@${rule.sinceMs}@${scheduledMs}`);
		const event = { ...ruleEvent({ ...this.#deps, id, scheduleArn: ruleArn, scheduledMs }) };
		return rule
			.changes({ scheduledMs, id, event })
			.map((change) => (change.change === "append" ? keyed(change, id) : change));
	}
}

function keyed(append: Append, key: string): Append {
	return append.deduplication ? append : { ...append, deduplication: { key, windowMs: deduplicationWindowMs } };
}

/** The same event has the same id, however often it is tried: RFC 9562 version 8. */
function uuidOf(text: string): string {
	const hex = createHash("sha256").update(text).digest("hex");
	return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
