/** Functions: their records, their dispatch over sandboxes, and what belongs to them. */
import { availableParallelism, totalmem } from "node:os";
import { ProcCpuMeter } from "../base/cpu-meter.ts";
import type { Lifetime } from "../base/lifetime.ts";
import { LambdaContract } from "../contracts/lambda/lambda-contract.ts";
import { LambdaWebContract } from "../contracts/lambda-web/lambda-web-contract.ts";
import type { SandboxRuntime } from "../core/sandbox/sandbox-runtime.ts";
import { Dispatcher, type DispatcherOptions } from "../engine/dispatch/dispatch.ts";
import { Meter } from "../engine/dispatch/meter.ts";
import type { SpareLimits } from "../engine/dispatch/spares.ts";
import { FunctionConcurrency } from "../engine/functions/concurrency.ts";
import { Functions } from "../engine/functions/functions.ts";
import { FunctionPolicies } from "../engine/functions/policies.ts";
import { FunctionUrls } from "../engine/functions/urls.ts";
import { FunctionVersions } from "../engine/functions/versions.ts";
import type { Images } from "../engine/images/images.ts";
import type { WireInput } from "./daemon.ts";
import { awsHost } from "./internal-names.ts";
import type { MachineMemory } from "./machine-memory.ts";
import { originOf } from "./origin.ts";
import { SessionCredentials } from "./session-credentials.ts";
import type { Storage } from "./wiring-storage.ts";

/** The time that `scalingRate` counts in, milliseconds (lambda-contract 3.8). */
const scalingPeriodMs = 10_000;
/**
 * Spares of one function, unless its owner says another number. Few: a sandbox is made within a millisecond or two, and one
 * that is used up has another made in its place.
 */
const maxCreatedPerFunction = 4;
const maxInitializedPerFunction = 2;
/** Part of the machine's memory that initialized spares may use. */
const initializedMemory = 0.1;

export async function openFunctions(
	input: WireInput,
	{ store, rootfs, logs }: Storage,
	{ runtime, images, memory }: { runtime: SandboxRuntime; images: Images; memory: MachineMemory },
	lifetime: Lifetime,
) {
	const { config, clock, ids, log } = input;
	const { egress } = config;
	const sessions = new SessionCredentials({ ids, accountId: input.accountId });
	const cpu = lifetime.use(new ProcCpuMeter());
	const meter = new Meter([], (name) => functions.records.has(name));
	const dispatcher: Dispatcher = new Dispatcher(
		{
			runtime,
			rootfs,
			contract: lambdaContract(input, sessions),
			logs,
			clock,
			ids,
			log,
			egress,
			onCodeGone: (revision) => functions.codeGone(revision),
			onLifecycle: meter.record,
			resolveRevision: (name, qualifier) => functions.revision(name, qualifier),
			cpu,
			reservedConcurrency: (name) => belongings.concurrency.reserved(name),
			unreservedConcurrency: () => belongings.concurrency.unreserved,
			spareSetting: (name) => functions.spareSetting(name),
			memory: () => memory.observe(),
		},
		dispatcherOptions(config),
	);
	lifetime.use(dispatcher);
	const functions: Functions = await Functions.open({
		store: store.functions,
		images,
		clock,
		ids,
		log,
		region: config.region,
		accountId: input.accountId,
		onRevisionChange: (name, ended) => dispatcher.retire(name, ended.version),
		onDeleted: (name) => meter.forget(name),
		onActive: (revision) => {
			runtime.prepare({ tmpMiB: revision.configuration.tmpMiB, egress });
			dispatcher.expect(revision);
		},
	});
	lifetime.defer(() => functions.settled());
	const belongings = openBelongings(input, functions, dispatcher);
	return { functions, ...belongings, dispatcher, meter, sessions, cpu };
}

function dispatcherOptions(config: WireInput["config"]): DispatcherOptions {
	return {
		maxSandboxes: config.maxSandboxes,
		accountConcurrency: config.accountConcurrency,
		scaling: { environments: config.scalingRate, periodMs: scalingPeriodMs },
		idleTimeoutMs: config.idleTimeoutMs,
		maxAgeMs: config.sandboxMaxAgeMs,
		freezeAfterMs: config.freezeDelayMs,
		cpus: availableParallelism(),
		spares: spareLimits(config, totalmem()),
	};
}

function spareLimits({ spares }: WireInput["config"], memoryBytes: number): SpareLimits {
	return {
		maxTotal: spares.maxCreated,
		maxPerFunction: maxCreatedPerFunction,
		keepMs: spares.keepMs,
		initialized: {
			maxTotal: spares.maxInitialized,
			maxPerFunction: maxInitializedPerFunction,
			maxBytes: memoryBytes * initializedMemory,
		},
	};
}

function lambdaContract({ config, clock, ids, log }: WireInput, sessions: SessionCredentials): LambdaWebContract {
	const { region, streamRate } = config;
	const lambda = new LambdaContract({
		region,
		ids,
		log,
		clock,
		streaming: { bytesPerSecond: streamRate },
		credentials: (functionName) => sessions.issue(functionName),
		awsEndpoint: `http://${awsHost}`,
	});
	return new LambdaWebContract(lambda, clock);
}

/** What belongs to functions besides their code and configuration; all of it changes the same records. */
function openBelongings({ config, url, clock, ids }: WireInput, functions: Functions, dispatcher: Dispatcher) {
	const { records } = functions;
	return {
		versions: new FunctionVersions({ records, ids }),
		policies: new FunctionPolicies({ records, ids }),
		concurrency: new FunctionConcurrency({
			records,
			serving: (name, version) => functions.serving(name, version),
			provisioning: dispatcher,
			clock,
			accountConcurrency: config.accountConcurrency,
		}),
		urls: new FunctionUrls({
			records,
			clock,
			ids,
			region: config.region,
			origin: () => originOf(url),
		}),
	};
}
