import { z } from "zod";
import { SlipwayError } from "../../base/error.ts";
import { createScheduleSchema, putEventSchema, type ScheduleView } from "../../client/event-schema.ts";
import type { ScheduleRecord } from "../../engine/schedules/schedule-record.ts";
import type { ApiBus, ApiSchedules } from "./delivery-ports.ts";
import { type Route, route } from "./route.ts";

const name = z.string().regex(/^[\w.-]{1,64}$/, "must be 1 to 64 letters, digits, '.', '-' or '_'");
const params = { group: name.describe("Schedule group"), name: name.describe("Schedule's name") };
/** What a schedule that was made here runs as: roles are kept, not evaluated. */
const roleName = "slipway";

export function scheduleRoutes(schedules: ApiSchedules, accountId: string): Route[] {
	return [
		route({
			id: "listSchedules",
			method: "GET",
			path: "/schedules",
			summary: "Schedules by group and name",
			answer: { kind: "json", status: 200, component: "ScheduleList" },
			handle: async () => ({ schedules: schedules.list().map((record) => scheduleView(schedules, record)) }),
		}),
		route({
			id: "createSchedule",
			method: "POST",
			path: "/schedules",
			summary: "Create a schedule: EventBridge Scheduler's rate, cron and at expressions",
			body: { kind: "json", component: "CreateSchedule" },
			input: createScheduleSchema,
			answer: { kind: "json", status: 201, component: "Schedule" },
			handle: async ({ input, requestId }) => {
				const { name, group, expression, timeZone, target, input: event, deadLetters, once } = input;
				const roleArn = `arn:aws:iam::${accountId}:role/${roleName}`;
				const spec = {
					expression,
					timeZone,
					enabled: true,
					deleteAfterCompletion: once ?? false,
					target: { arn: target, roleArn, input: event, deadLetterArn: deadLetters },
				};
				return scheduleView(schedules, await schedules.create(group ?? "default", name, spec, requestId));
			},
		}),
		route({
			id: "deleteSchedule",
			method: "DELETE",
			path: "/schedules/{group}/{name}",
			summary: "Delete a schedule, with its ticks that are not delivered yet",
			params,
			answer: { kind: "none", status: 204 },
			handle: ({ params }) => schedules.delete(params.group!, params.name!),
		}),
	];
}

function scheduleView(schedules: ApiSchedules, { group, name, spec, createdMs }: ScheduleRecord): ScheduleView {
	const nextMs = schedules.nextTick(group, name);
	return {
		group,
		name,
		expression: spec.expression,
		...(spec.timeZone !== undefined && { timeZone: spec.timeZone }),
		target: spec.target.arn,
		enabled: spec.enabled,
		...(nextMs !== undefined && { nextMs }),
		createdMs,
	};
}

export function busRoutes(bus: ApiBus): Route[] {
	return [
		route({
			id: "listBuses",
			method: "GET",
			path: "/buses",
			summary: "Event buses, with how many rules they have",
			answer: { kind: "json", status: 200, component: "BusList" },
			handle: async () => ({
				buses: bus.listBuses().map(({ name, createdMs }) => ({ name, rules: bus.listRules(name).length, createdMs })),
			}),
		}),
		route({
			id: "putEvent",
			method: "POST",
			path: "/buses/{name}/events",
			summary: "Put an event on a bus: on the disk, for every rule that matches, when this answers",
			params: { name: z.string().min(1).max(256).describe("Bus's name") },
			body: { kind: "json", component: "PutEvent" },
			input: putEventSchema,
			answer: { kind: "json", status: 201, component: "EventId" },
			handle: async ({ params, input }) => {
				const { detail, ...event } = input;
				const [result] = await bus.publish(params.name!, [{ ...event, detail: JSON.stringify(detail) }]);
				if (result && "id" in result) return { id: result.id };
				throw new SlipwayError("INVALID", result?.error.message ?? "The bus did not answer", {
					reason: result?.error.code ?? "",
				});
			},
		}),
	];
}
