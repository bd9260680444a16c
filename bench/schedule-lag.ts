/** How late schedules are: from the time that they name until their function has the event. */
import { setTimeout as sleep } from "node:timers/promises";
import { awsRequest } from "./aws-request.ts";
import { HttpConnection } from "./http-connection.ts";
import { type Figure, figure } from "./result.ts";
import type { RunOptions } from "./run-options.ts";
import { TellingFunction } from "./telling-function.ts";

const oneTime = 60;
const rates = 20;
/** The first ones are due after all have been made. */
const firstDueMs = 4000;
const periodMs = 60_000;
const graceMs = 3000;
const timer = "a timer in another Node process, and a synchronous invocation";
const rate = "rate(1 minute)";

type Kind = "at" | "rate" | "timer";

export async function scheduleLag({ quick }: RunOptions): Promise<Record<string, Figure>> {
	await using telling = await TellingFunction.open();
	const lags: Record<Kind, number[]> = { at: [], rate: [], timer: [] };
	telling.onTold = (text, { wall }) => {
		const { kind, scheduled } = JSON.parse(text) as { kind: Kind; scheduled: string };
		lags[kind].push(wall - Date.parse(scheduled));
	};
	const count = quick ? oneTime / 6 : oneTime;
	const start = Math.ceil((Date.now() + firstDueMs) / 1000) * 1000;
	for (let i = 0; i < count; i++) await createSchedule(telling, "at", i, start + i * 1000);
	for (let i = 0; i < rates; i++) await createSchedule(telling, "rate", i, start + (i % 10) * 1000);
	// Its first tick is at its start, its second a minute later.
	const end = quick ? start + count * 1000 : start + 10_000 + periodMs;
	await runTimers(telling, start, count);
	await sleep(Math.max(0, end + graceMs - Date.now()));
	if (lags.at.length !== count) throw new Error(`${lags.at.length} of ${count} schedules fired`);
	return {
		"schedule.lag": figure({
			name: "one-time schedule, until its function has the event",
			unit: "ms",
			values: lags.at,
			baselines: { [rate]: lags.rate, [timer]: lags.timer },
			how: `one in each second, ${rates} schedules of ${rate} beside them (${lags.rate.length} ticks), a timer of the bench's own for the middle of each second; milliseconds on the machine's clock, which are whole ones`,
			promises: { "p95 at most 100 ms": ({ p95 }) => p95 <= 100 },
		}),
	};
}

async function createSchedule(telling: TellingFunction, kind: "at" | "rate", i: number, dueMs: number): Promise<void> {
	const Input = JSON.stringify({ kind, scheduled: "<aws.scheduler.scheduled-time>" });
	const common = {
		FlexibleTimeWindow: { Mode: "OFF" },
		Target: { Arn: telling.arn, RoleArn: telling.daemon.roleArn, Input },
	};
	const due = new Date(dueMs).toISOString().slice(0, 19);
	const own =
		kind === "at"
			? { ScheduleExpression: `at(${due})`, ActionAfterCompletion: "DELETE" }
			: { ScheduleExpression: rate, StartDate: dueMs / 1000 };
	await telling.call("scheduler", "POST", `/schedules/${kind}-${i}`, { ...common, ...own });
}

/** What the clock and a warm function cost without any schedule. */
async function runTimers({ daemon }: TellingFunction, start: number, count: number): Promise<void> {
	const path = "/2015-03-31/functions/tell/invocations";
	for (let i = 0; i < count; i++) {
		const dueMs = start + i * 1000 + 500;
		const body = JSON.stringify({ kind: "timer", scheduled: new Date(dueMs).toISOString() });
		const request = awsRequest(daemon, { service: "lambda", method: "POST", path, body });
		const connection = await HttpConnection.open(daemon.url);
		await sleep(Math.max(0, dueMs - Date.now()));
		await connection.send(request);
		connection.close();
	}
}
