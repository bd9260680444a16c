import { laneOf } from "../core/delivery/lane-name.ts";
import { nameOfArn, type QueuePlace } from "../core/queue/queue-name.ts";
import type { AsyncInvocations } from "../engine/async-invocations/async-invocations.ts";
import type { Bus } from "../engine/bus/bus.ts";
import type { FunctionRecords } from "../engine/functions/records.ts";
import type { Schedules } from "../engine/schedules/schedules.ts";
import type { Triggers } from "../engine/triggers/triggers.ts";

export interface DeadLetterOwners {
	functions: Pick<FunctionRecords, "all">;
	asyncInvocations: Pick<AsyncInvocations, "configs">;
	bus: Pick<Bus, "listBuses" | "listRules">;
	schedules: Pick<Schedules, "list">;
	triggers: Pick<Triggers, "list">;
}

/** Lanes of the queues that anything names for what it gave up, besides those of queues' own redrive policies. */
export function deadLetterLanes(owners: DeadLetterOwners, place: QueuePlace): Set<string> {
	const lanes = new Set<string>();
	for (const arn of deadLetterArns(owners)) {
		const name = arn === undefined ? undefined : nameOfArn(arn, place);
		if (name !== undefined) lanes.add(laneOf({ kind: "queue", name }));
	}
	return lanes;
}

function* deadLetterArns(owners: DeadLetterOwners): Generator<string | undefined> {
	const { functions, asyncInvocations, bus, schedules, triggers } = owners;
	for (const { name, configuration } of functions.all()) {
		yield configuration.deadLetterArn;
		for (const { config } of asyncInvocations.configs.list(name)) yield config.onFailure;
	}
	for (const { name } of bus.listBuses())
		for (const rule of bus.listRules(name)) for (const target of rule.targets) yield target.deadLetterArn;
	for (const { spec } of schedules.list()) yield spec.target.deadLetterArn;
	for (const { deadLetter } of triggers.list()) yield deadLetter;
}
