import { join } from "node:path";
import { timeOrderedUuid } from "../base/ids.ts";
import type { Invoke } from "../engine/dispatch/traced-dispatcher.ts";
import { servingPools } from "../engine/services/serving-pools.ts";
import { apiFront } from "../front/api/api.ts";
import type { ApiDelivery } from "../front/api/delivery-ports.ts";
import type { ApiDeps, ApiWorkloads } from "../front/api/ports.ts";
import { createAwsFront } from "../front/aws/front.ts";
import type { Principal } from "../front/aws/service.ts";
import { ecrService } from "../front/aws/services/ecr.ts";
import { eventBridgeService } from "../front/aws/services/eventbridge/service.ts";
import { lambdaService } from "../front/aws/services/lambda/service.ts";
import { logsService } from "../front/aws/services/logs/service.ts";
import { schedulerService } from "../front/aws/services/scheduler/service.ts";
import { sqsService } from "../front/aws/services/sqs/service.ts";
import { stsService } from "../front/aws/services/sts.ts";
import { cloudEventsFront } from "../front/cloud-events/cloud-events-front.ts";
import { createFunctionUrlFront } from "../front/function-url/function-url-front.ts";
import { createIdempotencyFront } from "../front/idempotency/idempotency-front.ts";
import { createKnativeFront } from "../front/knative/knative-front.ts";
import { createRegistryFront } from "../front/registry/registry-front.ts";
import { temporaryFolder, type WireInput } from "./daemon.ts";
import type { Fronts } from "./listener.ts";
import { registryAccess, sameSecret } from "./registry-access.ts";
import type { Spans } from "./spans.ts";
import type { Engine } from "./wiring-engine.ts";
import type { Delivery } from "./wiring-events.ts";
import type { Gateway } from "./wiring-gateway.ts";
import type { Storage } from "./wiring-storage.ts";

/** The protocols that clients speak, over one engine. */
export function makeFronts(
	input: WireInput,
	storage: Storage,
	engine: Engine,
	gateway: Gateway,
	delivery: Delivery,
	{ runtime, invoke, spans }: { runtime: string; invoke: Invoke; spans: Spans | undefined },
): Fronts {
	const { credentials } = input.secrets;
	const registry = createRegistryFront({
		blobs: storage.blobs,
		repositories: storage.store.repositories,
		authorize: registryAccess(credentials),
		createOnPush: true,
		pins: engine.pins,
		clock: input.clock,
		log: input.log,
	});
	return {
		aws: awsFront(input, storage, engine, delivery, invoke),
		registry,
		api: apiFront({
			...apiDeps(input, storage, engine, runtime, invoke, spans),
			workloads: apiWorkloads(engine, gateway),
			delivery: apiDelivery(input, storage, engine, delivery),
		}),
		cloudEvents: cloudEventsFront({
			publish: (bus, events) => delivery.bus.publish(bus, events),
			token: credentials.token,
			ids: input.ids,
			log: input.log,
		}),
		functionUrl: functionUrlFront(input, engine, invoke),
		knative: knativeFront(input, engine),
		gateway: gateway.front,
		identity: identityFront(input, engine),
	};
}

function apiWorkloads({ workloads }: Engine, { front, routes, certificates }: Gateway): ApiWorkloads {
	const { services, serving, jobs, workers } = workloads;
	return {
		services,
		serving: {
			...servingPools(serving),
			instances: () => serving.instances(),
			stopIdle: (service) => serving.stopIdle(service),
		},
		jobs,
		workers,
		gatewayRoutes: routes,
		certificates,
		pools: serving,
		gateway: front.counters,
	};
}

/** What verifies identity tokens of the metadata server: open to everybody, as it is public by its nature (OpenID Connect Discovery 1.0, 4). */
function identityFront({ url }: WireInput, { workloads }: Engine): Fronts["identity"] {
	return async (request, response) => {
		const path = (request.url ?? "").replace(/\?.*/s, "");
		const isRead = request.method === "GET" || request.method === "HEAD";
		const document = isRead ? await workloads.tokens.answer(path, url) : { error: "Only GET and HEAD are served here" };
		const text = `${JSON.stringify(document)}\n`;
		const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
		response.writeHead(isRead ? 200 : 405, isRead ? headers : { ...headers, allow: "GET, HEAD" });
		response.end(text);
	};
}

/** Whoever has the native API's token, by itself or as a password (kubectl and client-go take none over plain HTTP, but in a URL). */
function knativeFront(input: WireInput, { workloads }: Engine): Fronts["knative"] {
	const { clock, log, version, closing } = input;
	const { token } = input.secrets.credentials;
	const front = createKnativeFront({
		services: workloads.services,
		authenticate: (credential) => {
			const [user, secret] =
				credential.kind === "bearer" ? ["slipway", credential.token] : [credential.user, credential.password];
			return sameSecret(secret, token) ? { user } : undefined;
		},
		clock,
		log,
		version,
		closing,
	});
	return (request, response) => front.handle(request, response);
}

function awsFront(
	input: WireInput,
	{ blobs, store, logs }: Storage,
	engine: Engine,
	delivery: Delivery,
	invoke: Invoke,
): Fronts["aws"] {
	const { config, accountId, clock, ids, log } = input;
	const { accessKeyId, secretAccessKey, registryPassword, token } = input.secrets.credentials;
	const ecr = ecrService({
		blobs,
		repositories: store.repositories,
		registryPassword: () => registryPassword,
		isTls: input.secrets.tls !== undefined,
		clock,
	});
	const principal = ownPrincipal(input);
	const { queues, bus, schedules, asyncInvocations, mappings, targets } = delivery;
	const lambda = { ...engine, dispatcher: { invoke }, asyncInvocations, eventSourceMappings: mappings, targets };
	const front = createAwsFront({
		services: [
			lambdaService(lambda),
			sqsService({ queues }),
			eventBridgeService({ bus, region: config.region, accountId }),
			schedulerService({ schedules, region: config.region, accountId }),
			ecr,
			logsService({ logs, clock, ids }),
			stsService(),
		],
		credentials: (id) => (id === accessKeyId ? { secretAccessKey, principal } : engine.sessions.find(id)),
		authenticateBearer: (given) => (sameSecret(given, token) ? principal : undefined),
		clock,
		ids,
		region: config.region,
		accountId,
		recordsSpans: config.tracing !== undefined,
		log,
	});
	return (request, response) => front.handle(request, response);
}

function apiDelivery(
	{ config, accountId, clock, ids }: WireInput,
	{ messages }: Storage,
	{ functions }: Engine,
	{ events, queues, mappings, triggers, connections, schedules, bus, asyncInvocations }: Delivery,
): ApiDelivery {
	return {
		events,
		queues,
		mappings,
		triggers,
		connections,
		schedules,
		bus,
		invokeLater: async (name, { payload, qualifier }) => {
			const requestId = timeOrderedUuid(clock.now(), ids);
			const invokedArn = functions.records.arn(name, qualifier);
			await asyncInvocations.accept(name, qualifier, { requestId, payload, invokedArn });
			return requestId;
		},
		logStats: () => messages.stats(),
		asyncCounts: () => asyncInvocations.counters(),
		region: config.region,
		accountId,
	};
}

/** For functions and services, by slipway.internal. */
export function idempotencyFront({ ids, log }: WireInput, { idempotency }: Delivery) {
	const front = createIdempotencyFront({ idempotency, ids, log });
	return (...parameters: Parameters<typeof front.handle>) => front.handle(...parameters);
}

function functionUrlFront(input: WireInput, { urls, policies }: Engine, invoke: Invoke): Fronts["functionUrl"] {
	const { config, accountId, clock, ids, log, secrets } = input;
	const { accessKeyId, secretAccessKey } = secrets.credentials;
	const principal = ownPrincipal(input);
	const front = createFunctionUrlFront({
		urls,
		policies,
		dispatcher: { invoke },
		credentials: (id) => (id === accessKeyId ? { secretAccessKey, principal } : undefined),
		clock,
		ids,
		region: config.region,
		accountId,
		recordsSpans: config.tracing !== undefined,
		log,
	});
	return (request, response) => front.handle(request, response);
}

/** Whoever has the installation's keys is the account itself. */
function ownPrincipal({ accountId, secrets }: WireInput): Principal {
	const { accessKeyId } = secrets.credentials;
	return { accessKeyId, arn: `arn:aws:iam::${accountId}:root`, userId: accountId, accountId };
}

function apiDeps(
	input: WireInput,
	{ logs }: Storage,
	engine: Engine,
	runtime: string,
	invoke: Invoke,
	spans: Spans | undefined,
): ApiDeps {
	const { config, accountId, clock, ids, log, version, startedMs } = input;
	const { functions, dispatcher, images, meter } = engine;
	return {
		token: input.secrets.credentials.token,
		version,
		functions,
		dispatcher: {
			invoke,
			sandboxes: () => dispatcher.sandboxes(),
			census: () => dispatcher.census(),
			stop: (...parameters) => dispatcher.stop(...parameters),
		},
		images,
		logs,
		meter,
		spans: spans && (() => spans.sink.counts),
		process: () => {
			const { user, system } = process.cpuUsage();
			return { residentBytes: process.memoryUsage.rss(), cpuSeconds: (user + system) / 1e6, startedMs };
		},
		status: () => ({
			version,
			pid: process.pid,
			address: new URL(input.url).host,
			home: config.home,
			runtime,
			startedMs,
			uptimeMs: clock.now() - startedMs,
			region: config.region,
			accountId,
			functions: functions.count,
			sandboxes: dispatcher.sandboxCount,
			memoryBytes: process.memoryUsage.rss(),
		}),
		defaultRole: `arn:aws:iam::${accountId}:role/slipway`,
		importFolder: join(config.home, temporaryFolder),
		importMaxBytes: config.importMaxBytes,
		closing: input.closing,
		clock,
		ids,
		log,
	};
}
