import type { Clock } from "../../base/clock.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { Targets } from "../../core/delivery/target.ts";
import type { MessageLog } from "../../core/message-log/message-log.ts";
import type { ResourceStore } from "../../core/resource/resource-store.ts";
import type { MissedTicks } from "./due-ticks.ts";

export interface SchedulesDeps {
	store: ResourceStore;
	log: MessageLog;
	targets: Targets;
	clock: Clock;
	ids: Ids;
	logger: Log;
	region: string;
	/** 12 digits. */
	accountId: string;
	/** Where a group's tag says nothing; "one" where it is left out. */
	missed?: MissedTicks | undefined;
	/** Milliseconds between two looks at the wall clock while ticks are to come; 15 s where it is left out. */
	lookMs?: number | undefined;
}
