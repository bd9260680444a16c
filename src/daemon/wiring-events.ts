/** What is delivered later: asynchronous invocations, queues and their triggers, the bus, schedules, brokers. */
import { availableParallelism } from "node:os";
import type { Clock } from "../base/clock.ts";
import type { Ids } from "../base/ids.ts";
import type { Lifetime } from "../base/lifetime.ts";
import type { Log } from "../base/log.ts";
import type { MessageLog } from "../core/message-log/message-log.ts";
import type { ResourceStore } from "../core/resource/resource-store.ts";
import { AsyncInvocations } from "../engine/async-invocations/async-invocations.ts";
import { isThere } from "../engine/async-invocations/event-invoke-configs.ts";
import { FunctionTarget } from "../engine/async-invocations/function-target.ts";
import { Bus } from "../engine/bus/bus.ts";
import { BusTarget } from "../engine/bus/bus-target.ts";
import { EventCalls } from "../engine/delivery/event-calls.ts";
import { EventRoom } from "../engine/delivery/event-room.ts";
import { ServiceTarget } from "../engine/delivery/service-target.ts";
import { TargetRegistry } from "../engine/delivery/targets.ts";
import type { Invoke } from "../engine/dispatch/traced-dispatcher.ts";
import { EventSourceMappings } from "../engine/event-source-mappings/event-source-mappings.ts";
import { Events } from "../engine/events/events.ts";
import { Idempotency } from "../engine/idempotency/idempotency.ts";
import { QueueTarget } from "../engine/queues/queue-target.ts";
import { Queues } from "../engine/queues/queues.ts";
import { RuleTicks } from "../engine/schedules/rule-ticks.ts";
import { Schedules } from "../engine/schedules/schedules.ts";
import { BrokerTarget } from "../engine/triggers/broker-target.ts";
import { Connections } from "../engine/triggers/connections.ts";
import { Triggers } from "../engine/triggers/triggers.ts";
import { processEnvironment } from "./config/process.ts";
import type { WireInput } from "./daemon.ts";
import { deadLetterLanes } from "./dead-letter-lanes.ts";
import { GatewayCaller } from "./gateway-caller.ts";
import { brokerAdapters, brokerSecrets } from "./wiring-brokers.ts";
import type { Engine } from "./wiring-engine.ts";
import type { Gateway } from "./wiring-gateway.ts";
import type { Storage } from "./wiring-storage.ts";

export type Delivery = Awaited<ReturnType<typeof openDelivery>>;

/** What all of them need. */
interface Common {
	store: ResourceStore;
	log: MessageLog;
	clock: Clock;
	ids: Ids;
	logger: Log;
	region: string;
	accountId: string;
}

/** Part of the sandboxes and of the account's concurrency that events may have, so that callers who wait find room. */
const shareOfEvents = 0.75;

export async function openDelivery(
	input: WireInput,
	{ store, messages }: Storage,
	engine: Engine,
	gateway: Gateway,
	invoke: Invoke,
	lifetime: Lifetime,
) {
	const { config, accountId, clock, ids, log: logger, url, closing } = input;
	const { region } = config;
	const common: Common = { store: store.resources, log: messages, clock, ids, logger, region, accountId };
	const targets = new TargetRegistry([]);
	const queues = lifetime.use(await Queues.open({ ...common, origin: url }));
	targets.add(new QueueTarget(queues));
	closing.addEventListener("abort", () => queues.stopWaiting(), { once: true });
	const { functions, concurrency, workloads } = engine;
	const room = lifetime.use(openRoom(input, engine));
	const asyncInvocations = lifetime.use(
		await AsyncInvocations.open({
			...common,
			targets,
			functions: functions.records,
			resolve: (name, qualifier) => functions.revision(name, qualifier),
			invoke,
			reservedConcurrency: (name) => concurrency.reserved(name),
			room,
			retryMs: config.asyncRetryMs,
		}),
	);
	targets.add(new FunctionTarget(asyncInvocations, { region, accountId }));
	const ruleTicks = lifetime.use(await RuleTicks.open({ ...common, missed: "one" }));
	const bus: Bus = lifetime.use(await Bus.open({ ...common, targets, ticks: ruleTicks }));
	targets.add(new BusTarget({ bus: () => bus, ids, region, accountId }));
	const caller = new GatewayCaller({ accept: gateway.acceptInternal, clock });
	const services = new ServiceTarget({ routes: workloads.services.routing, caller, clock, region, accountId });
	targets.add(services);
	const schedules = lifetime.use(await Schedules.open({ ...common, targets }));
	const mappings = lifetime.use(
		await EventSourceMappings.open({
			...common,
			queues,
			functions: { find: (name, qualifier) => mappedFunction(engine, name, qualifier), invoke },
			services,
			room,
		}),
	);
	const calls = lifetime.use(new EventCalls({ room, invoke }));
	const { connections, triggers } = await openTriggers(input, common, targets, engine, calls.invoke, lifetime);
	const idempotency = lifetime.use(new Idempotency({ store: store.idempotency, clock, ids, log: logger }));
	const events = new Events({
		...common,
		targets,
		deadLetterLanes: () =>
			deadLetterLanes(
				{ functions: functions.records, asyncInvocations, bus, schedules, triggers },
				{ region, accountId },
			),
		unmatched: (id) => bus.unmatched(id),
		replayArchive: (name, range) => replayArchive(bus, ids, name, range),
	});
	await events.recover();
	return {
		targets,
		queues,
		asyncInvocations,
		bus,
		schedules,
		mappings,
		connections,
		triggers,
		idempotency,
		events,
		/** Nothing is delivered before everything can be. */
		start() {
			asyncInvocations.start();
			bus.start();
			ruleTicks.start();
			schedules.start();
			mappings.start();
			triggers.start();
		},
	};
}

/** What asynchronous invocations, event source mappings and triggers share. */
function openRoom({ config, clock }: WireInput, { cpu, dispatcher }: Engine): EventRoom {
	return new EventRoom({
		clock,
		cpu,
		cpus: availableParallelism(),
		maxTotal: Math.ceil(Math.min(config.maxSandboxes, config.accountConcurrency) * shareOfEvents),
		starting: () => dispatcher.starting,
	});
}

/** Brokers outside, as sources and as targets. */
async function openTriggers(
	{ config }: WireInput,
	common: Common,
	targets: TargetRegistry,
	{ functions }: Engine,
	invoke: Invoke,
	lifetime: Lifetime,
) {
	const recursiveLoop = (name: string) => functions.records.find(name)?.recursiveLoop ?? "Terminate";
	const secret = brokerSecrets(config.home, processEnvironment);
	const connections = lifetime.use(await Connections.open({ ...common, secret, adapters: brokerAdapters }));
	targets.add(new BrokerTarget({ connections }));
	const triggers = lifetime.use(
		await Triggers.open({ ...common, targets, connections, invoke, random: Math.random, recursiveLoop }),
	);
	return { connections, triggers };
}

/** What an event source mapping has to know of its function; undefined for a version or an alias that is not there. */
function mappedFunction({ functions, concurrency }: Engine, name: string, qualifier: string | undefined) {
	const record = functions.records.find(name);
	if (!record) return undefined;
	if (!isThere(functions.records, name, qualifier)) return undefined;
	return {
		name: record.name,
		arn: record.arn,
		timeoutS: record.configuration.timeoutS,
		reservedConcurrency: concurrency.reserved(name),
		recursiveLoop: record.recursiveLoop,
	};
}

/** All of its rules, onto the bus that it is an archive of. */
async function replayArchive(
	bus: Bus,
	ids: Ids,
	archive: string,
	range: { fromMs: number; toMs: number },
): Promise<string> {
	const name = `slipway-${ids.hex(8)}`;
	await bus.startReplay({ name, archive, bus: bus.describeArchive(archive).bus, ...range });
	return name;
}
