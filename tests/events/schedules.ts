/** Schedules through the AWS SDK v3, of the Scheduler and of EventBridge rules, with nothing running before they fire. */
import assert from "node:assert/strict";
import { PutRuleCommand, PutTargetsCommand } from "@aws-sdk/client-eventbridge";
import {
	CreateScheduleCommand,
	type CreateScheduleCommandInput,
	GetScheduleCommand,
	ResourceNotFoundException,
} from "@aws-sdk/client-scheduler";
import { cli } from "../services/service-client.ts";
import { type Clause, clauseTimeoutMs, until, type World } from "./world.ts";

const minuteMs = 60_000;
/** Seconds for a schedule of every minute. */
const firesWithinS = 100;

function schedule(
	w: World,
	Name: string,
	expression: string,
	Arn: string,
	more: Partial<CreateScheduleCommandInput> = {},
) {
	return w.scheduler.send(
		new CreateScheduleCommand({
			Name,
			ScheduleExpression: expression,
			FlexibleTimeWindow: { Mode: "OFF" },
			Target: { Arn, RoleArn: w.daemon.roleArn, Input: JSON.stringify({ by: Name }) },
			...more,
		}),
	);
}

/** `2026-11-21T19:40:00`, as at() wants it, so many minutes from now in a time zone. */
function clockTime(inMs: number, timeZone: string): string {
	return new Date(Date.now() + inMs).toLocaleString("sv-SE", { timeZone }).replace(" ", "T");
}

export const scheduleClauses: readonly Clause[] = [
	{
		says: "a one-time schedule, a rate and a cron with a time zone fire, and a rule's rate, while everything is scaled to zero",
		timeoutMs: 2 * clauseTimeoutMs,
		run: async (w) => {
			const [queue, report] = [await w.queue("ticks"), await w.queue("tick-report")];
			const arn = await w.function("ticked", { env: { REPORT: report.name } });
			await cli(w.daemon, "function", "stop", "ticked");
			const zone = "Asia/Kolkata";
			const at = `at(${clockTime(3_000, zone)})`;
			const once = { ScheduleExpressionTimezone: zone, ActionAfterCompletion: "DELETE" as const };
			await schedule(w, "once", at, arn, once);
			await schedule(w, "every", "rate(1 minute)", queue.arn);
			// The next minute or the one behind it, by the clock of that place.
			const next = clockTime(minuteMs + 5_000, zone);
			const cron = `cron(${Number(next.slice(14, 16))} ${Number(next.slice(11, 13))} * * ? *)`;
			await schedule(w, "daily", cron, queue.arn, { ScheduleExpressionTimezone: zone });
			await w.eventBridge.send(new PutRuleCommand({ Name: "ticking", ScheduleExpression: "rate(1 minute)" }));
			await w.eventBridge.send(new PutTargetsCommand({ Rule: "ticking", Targets: [{ Id: "q", Arn: queue.arn }] }));

			const [seen] = await w.values(report, 1);
			assert.deepEqual(seen?.event, { by: "once" });
			await until("a schedule that deletes itself", () =>
				w.scheduler.send(new GetScheduleCommand({ Name: "once" })).then(
					() => undefined,
					(error) => (error instanceof ResourceNotFoundException ? true : Promise.reject(error)),
				),
			);
			const waiting = new Set(["every", "daily", "aws.events"]);
			while (waiting.size > 0) {
				const [value] = await w.values(queue, 1, firesWithinS);
				waiting.delete(String(value?.by ?? value?.source));
				if (value?.source !== undefined)
					assert.deepEqual(
						[value["detail-type"], value.resources],
						["Scheduled Event", [w.arn("events", "rule/ticking")]],
					);
			}
		},
	},
	{
		says: "an expression that is none, and a target that is not there, are refused with the Scheduler's words",
		run: async (w) => {
			const queue = await w.queue("never-ticked");
			const refused = { name: "ValidationException", message: /Invalid Schedule Expression/ };
			await assert.rejects(schedule(w, "wrong", "cron(61 * * * ? *)", queue.arn), refused);
			await assert.rejects(schedule(w, "wrong", "rate(1 fortnight)", queue.arn), refused);
		},
	},
];
