import { isoSeconds } from "./tick-delivery.ts";

/** https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html: what a tick is to who gets it. */
export interface ScheduledEvent {
	version: "0";
	id: string;
	"detail-type": "Scheduled Event";
	source: "aws.events" | "aws.scheduler";
	account: string;
	time: string;
	region: string;
	resources: string[];
	detail: Record<string, never> | "{}";
}

interface Tick {
	id: string;
	scheduleArn: string;
	scheduledMs: number;
	region: string;
	accountId: string;
}

/** The input of a schedule that has none: its detail is text, as the Scheduler's own notification has it. */
export function defaultInput({ id, scheduleArn, scheduledMs, region, accountId }: Tick): string {
	const event: ScheduledEvent = {
		version: "0",
		id,
		"detail-type": "Scheduled Event",
		source: "aws.scheduler",
		account: accountId,
		time: isoSeconds(scheduledMs),
		region,
		resources: [scheduleArn],
		detail: "{}",
	};
	return JSON.stringify(event);
}

/** What the targets of a rule get. */
export function ruleEvent({ id, scheduleArn, scheduledMs, region, accountId }: Tick): ScheduledEvent {
	return {
		version: "0",
		id,
		"detail-type": "Scheduled Event",
		source: "aws.events",
		account: accountId,
		time: isoSeconds(scheduledMs),
		region,
		resources: [scheduleArn],
		detail: {},
	};
}
