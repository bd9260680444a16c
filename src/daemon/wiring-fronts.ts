import { join } from "node:path";
import type { Invoke } from "../engine/dispatch/traced-dispatcher.ts";
import { apiFront } from "../front/api/api.ts";
import type { ApiDeps } from "../front/api/ports.ts";
import { createAwsFront } from "../front/aws/front.ts";
import type { Principal } from "../front/aws/service.ts";
import { ecrService } from "../front/aws/services/ecr.ts";
import { lambdaService } from "../front/aws/services/lambda/service.ts";
import { logsService } from "../front/aws/services/logs/service.ts";
import { stsService } from "../front/aws/services/sts.ts";
import { createFunctionUrlFront } from "../front/function-url/function-url-front.ts";
import { createRegistryFront } from "../front/registry/registry-front.ts";
import { temporaryFolder, type WireInput } from "./daemon.ts";
import type { Fronts } from "./listener.ts";
import { registryAccess, sameSecret } from "./registry-access.ts";
import type { Spans } from "./spans.ts";
import type { Engine, Storage } from "./wiring.ts";

/** The protocols that clients speak, over one engine. */
export function makeFronts(
	input: WireInput,
	storage: Storage,
	engine: Engine,
	runtime: string,
	spans: Spans | undefined,
): Fronts {
	const { credentials } = input.secrets;
	const direct: Invoke = (name, request) => engine.dispatcher.invoke(name, request);
	const invoke = spans ? spans.record(direct) : direct;
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
		aws: awsFront(input, storage, engine, invoke),
		registry,
		api: apiFront(apiDeps(input, storage, engine, runtime, invoke, spans)),
		functionUrl: functionUrlFront(input, engine, invoke),
	};
}

function awsFront(input: WireInput, { blobs, store, logs }: Storage, engine: Engine, invoke: Invoke): Fronts["aws"] {
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
	const front = createAwsFront({
		services: [
			lambdaService({ ...engine, dispatcher: { invoke } }),
			ecr,
			logsService({ logs, clock, ids }),
			stsService(),
		],
		credentials: (id) => (id === accessKeyId ? { secretAccessKey, principal } : undefined),
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
