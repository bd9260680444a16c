import type { Clock } from "../../base/clock.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { Targets } from "../../core/delivery/target.ts";
import type { LogChange, MessageLog } from "../../core/message-log/message-log.ts";
import type { ResourceStore } from "../../core/resource/resource-store.ts";
import type { Place } from "./names.ts";

export interface BusDeps extends Place {
	store: ResourceStore;
	log: MessageLog;
	/** Asked for each delivery only: kinds may be added after the bus is open. */
	targets: Targets;
	/** Fires the rules that have a schedule; without it they are kept and never fire. */
	ticks?: ScheduledRules | undefined;
	clock: Clock;
	ids: Ids;
	logger: Log;
}

/** engine/schedules/rule-ticks.ts. */
export interface ScheduledRules {
	/** `changes`: what is committed with the tick. Replaces a rule of the same ARN. */
	define(
		ruleArn: string,
		schedule: { expression: string; sinceMs: number },
		changes: (tick: RuleTick) => LogChange[],
	): void | Promise<void>;
	remove(ruleArn: string): void | Promise<void>;
}

export interface RuleTick {
	/** Epoch milliseconds. */
	scheduledMs: number;
	id: string;
	/** The whole envelope. */
	event: Readonly<Record<string, unknown>>;
}
