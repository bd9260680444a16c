/** For tests: queues, events and triggers of the API. Queues and events are the real ones over a message log in memory. */
import { systemClock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { randomIds, timeOrderedUuid } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import { FakeMessageLog } from "../../core/message-log/fake-message-log.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import { TargetRegistry } from "../../engine/delivery/targets.ts";
import type { CreateMapping, MappingView } from "../../engine/event-source-mappings/mapping.ts";
import { Events } from "../../engine/events/events.ts";
import { QueueTarget } from "../../engine/queues/queue-target.ts";
import { Queues } from "../../engine/queues/queues.ts";
import type { ScheduleRecord } from "../../engine/schedules/schedule-record.ts";
import type {
	ApiConnections,
	ApiDelivery,
	ApiMappings,
	ApiSchedules,
	ApiTriggers,
	BrokerConnection,
	BrokerTrigger,
} from "./delivery-ports.ts";

const region = "us-east-1";
const accountId = "123456789012";

export interface FakeDelivery extends ApiDelivery, AsyncDisposable {
	messageLog: FakeMessageLog;
}

export async function fakeDelivery(): Promise<FakeDelivery> {
	const log = new FakeMessageLog({ clock: systemClock });
	const common = { clock: systemClock, ids: randomIds, region, accountId };
	const origin = "http://127.0.0.1:4747";
	const queues = await Queues.open({ ...common, store: new FakeResourceStore(), log, logger: silentLog, origin });
	const targets = new TargetRegistry([new QueueTarget(queues)]);
	return {
		events: new Events({ ...common, log, targets }),
		queues,
		mappings: new FakeMappings(),
		triggers: fakeTriggers(),
		connections: fakeConnections(),
		schedules: fakeSchedules(),
		bus: {
			listBuses: () => [{ name: "default", createdMs: 0 }],
			listRules: () => [{}, {}],
			publish: async (_bus, events) =>
				events.map(({ source }) =>
					source === "aws.x"
						? { error: { code: "NotAuthorized", message: "aws is reserved" } }
						: { id: `event-of-${source}` },
				),
		},
		async invokeLater(name, { payload, qualifier }) {
			if (name === "missing") throw new SlipwayError("NOT_FOUND", `Function not found: ${name}`);
			const id = timeOrderedUuid(systemClock.now(), randomIds);
			const lane = `lambda/${name}${qualifier === undefined ? "" : `:${qualifier}`}`;
			await log.commit([{ change: "append", lane, id, body: payload }]);
			return id;
		},
		logStats: () => ({
			commits: log.commits,
			calls: log.commits,
			commitSeconds: { sum: 0.5, count: log.commits },
			faults: 0,
			fileBytes: 4096,
			walBytes: 0,
			pending: 0,
		}),
		asyncCounts: () => [{ function: "hello", accepted: 3, succeeded: 2, retried: 1 }],
		region,
		accountId,
		messageLog: log,
		async [Symbol.asyncDispose]() {
			await queues[Symbol.asyncDispose]();
			log[Symbol.dispose]();
		},
	};
}

class FakeMappings implements ApiMappings {
	readonly #all = new Map<string, MappingView>();

	async create({ source, target, ...settings }: CreateMapping): Promise<MappingView> {
		const uuid = randomIds.uuid();
		const mapping: MappingView = {
			enabled: true,
			batchSize: 10,
			windowS: 0,
			filters: [],
			reportsItemFailures: false,
			maximumConcurrency: undefined,
			...settings,
			uuid,
			sourceArn: source,
			target,
			tags: {},
			createdMs: 0,
			lastModifiedMs: 0,
			deleting: false,
			arn: `arn:aws:lambda:${region}:${accountId}:event-source-mapping:${uuid}`,
			targetArn:
				target.kind === "service" ? target.arn : `arn:aws:lambda:${region}:${accountId}:function:${target.name}`,
			state: settings.enabled === false ? "Disabled" : "Enabled",
			lastProcessingResult: "No records processed",
			inHand: 0,
		};
		this.#all.set(uuid, mapping);
		return mapping;
	}

	get(uuid: string): MappingView {
		return found(this.#all, uuid);
	}

	list(): MappingView[] {
		return [...this.#all.values()];
	}

	async update(uuid: string, { enabled }: { enabled: boolean }): Promise<MappingView> {
		const changed: MappingView = { ...this.get(uuid), enabled, state: enabled ? "Enabled" : "Disabled" };
		this.#all.set(uuid, changed);
		return changed;
	}

	async delete(uuid: string): Promise<MappingView> {
		const mapping = this.get(uuid);
		this.#all.delete(uuid);
		return mapping;
	}
}

function fakeTriggers(): ApiTriggers {
	const all = new Map<string, BrokerTrigger>();
	const change = async (name: string, enabled: boolean) => {
		const changed = { ...found(all, name), enabled };
		all.set(name, changed);
		return changed;
	};
	return {
		async apply(document) {
			const trigger = { enabled: true, ...(document as Omit<BrokerTrigger, "enabled">) };
			if (!trigger.source?.connection) throw new SlipwayError("INVALID", "'source.connection' is missing");
			all.set(trigger.name, trigger);
			return trigger;
		},
		get: (name) => found(all, name),
		list: () => [...all.values()],
		async remove(name) {
			found(all, name);
			all.delete(name);
		},
		pause: (name) => change(name, false),
		resume: (name) => change(name, true),
		status: (name) => ({
			name,
			state: found(all, name).enabled ? "connected" : "disabled",
			sinceMs: 0,
			inHand: 1,
			counters: { received: 4, delivered: 3 },
		}),
	};
}

function fakeSchedules(): ApiSchedules {
	const all = new Map<string, ScheduleRecord>();
	return {
		async create(group, name, spec, clientToken) {
			if (!spec.expression.startsWith("rate("))
				throw new SlipwayError("INVALID", `'${spec.expression}' is no expression`);
			const record = { group, name, uid: name, spec, createdMs: 0, modifiedMs: 0, sinceMs: 0, clientToken };
			all.set(`${group}/${name}`, record);
			return record;
		},
		list: () => [...all.values()],
		async delete(group, name) {
			found(all, `${group}/${name}`);
			all.delete(`${group}/${name}`);
		},
		nextTick: () => 4_000_000_000_000,
	};
}

function fakeConnections(): ApiConnections {
	const all = new Map<string, BrokerConnection>();
	return {
		async apply(document) {
			const connection = document as BrokerConnection;
			all.set(connection.name, connection);
			return connection;
		},
		get: (name) => found(all, name),
		list: () => [...all.values()],
		async remove(name) {
			found(all, name);
			all.delete(name);
		},
	};
}

function found<T>(all: ReadonlyMap<string, T>, name: string): T {
	const one = all.get(name);
	if (one) return one;
	throw new SlipwayError("NOT_FOUND", `There is no '${name}'`);
}
