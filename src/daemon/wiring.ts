/** The one place that picks adapters and puts the parts together. */
import { availableParallelism, homedir, totalmem } from "node:os";
import { join } from "node:path";
import { FsBlobStore } from "../adapters/blobs-fs/fs-blob-store.ts";
import { OverlayRootfsStore } from "../adapters/layers-overlay/overlay-rootfs-store.ts";
import { FsLogStore } from "../adapters/logs-fs/fs-log-store.ts";
import { RegistryClient } from "../adapters/registry-client/registry-client.ts";
import { SqliteStore } from "../adapters/store-sqlite/sqlite-store.ts";
import { ProcCpuMeter } from "../base/cpu-meter.ts";
import { Lifetime } from "../base/lifetime.ts";
import { LambdaContract } from "../contracts/lambda/lambda-contract.ts";
import { Dispatcher, type DispatcherOptions } from "../engine/dispatch/dispatch.ts";
import { nextPressure, noPressure } from "../engine/dispatch/memory-pressure.ts";
import { Meter } from "../engine/dispatch/meter.ts";
import type { SpareLimits } from "../engine/dispatch/spares.ts";
import { FunctionConcurrency } from "../engine/functions/concurrency.ts";
import { Functions } from "../engine/functions/functions.ts";
import { FunctionPolicies } from "../engine/functions/policies.ts";
import { FunctionUrls } from "../engine/functions/urls.ts";
import { FunctionVersions } from "../engine/functions/versions.ts";
import { BlobPins } from "../engine/images/blob-pins.ts";
import { Collector } from "../engine/images/collect.ts";
import { Images, localRegistryMatcher } from "../engine/images/images.ts";
import type { System, Wire, WireInput } from "./daemon.ts";
import { dockerCredentials } from "./docker-credentials.ts";
import { MachineMemory } from "./machine-memory.ts";
import { openSandboxRuntime } from "./sandbox-runtime.ts";
import { openSpans } from "./spans.ts";
import { makeFronts } from "./wiring-fronts.ts";

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

export type Storage = Awaited<ReturnType<typeof openStorage>>;
export type Engine = Awaited<ReturnType<typeof openEngine>>;

export const wire: Wire = async (input) => {
	const lifetime = new Lifetime();
	try {
		return await wireParts(input, lifetime);
	} catch (error) {
		await lifetime[Symbol.asyncDispose]();
		throw error;
	}
};

async function wireParts(input: WireInput, lifetime: Lifetime): Promise<System> {
	const storage = await openStorage(input, lifetime);
	const spans = await openSpans(input, lifetime);
	const engine = await openEngine(input, storage, lifetime);
	const { runtime } = engine;
	const runtimeName = `${runtime.name} ${runtime.version}`;
	return {
		fronts: makeFronts(input, storage, engine, runtimeName, spans),
		runtime: runtimeName,
		recover: async () => {
			const reaped = await runtime.reap();
			// A function that was deployed to an earlier process finds the same made ready for its first event.
			for (const { active } of engine.functions.records.all())
				if (active) runtime.prepare({ tmpMiB: active.configuration.tmpMiB, egress: input.config.egress });
			engine.concurrency.restore();
			return reaped;
		},
		[Symbol.asyncDispose]: () => lifetime[Symbol.asyncDispose](),
	};
}

async function openStorage({ config, clock, ids, log }: WireInput, lifetime: Lifetime) {
	const folder = (name: string) => join(config.home, name);
	const store = lifetime.use(await SqliteStore.open({ path: folder("state.db") }));
	const blobs = await FsBlobStore.open({ root: folder("blobs"), uploadTtlMs: config.uploadTtlMs, clock, ids });
	const { maxBytes, maxEntries, maxRatio } = config.layers;
	const limits = { unpackedBytes: maxBytes, entries: maxEntries, expansionRatio: maxRatio };
	const rootfs = await OverlayRootfsStore.open({ root: folder("layers"), limits, log });
	lifetime.use(rootfs);
	const logs = lifetime.use(
		await FsLogStore.open({ root: folder("logs"), clock, log, maxGroupBytes: config.logGroupMaxBytes }),
	);
	return { store, blobs, rootfs, logs };
}

async function openEngine(input: WireInput, storage: Storage, lifetime: Lifetime) {
	const { config, clock, ids, log } = input;
	const { store, blobs, rootfs, logs } = storage;
	const { egress } = config;
	const memory = new MachineMemory();
	// Kept from look to look: what is given back near a limit would else be taken again at once.
	let pressure = noPressure;
	const memoryIsShort = () => {
		pressure = nextPressure(pressure, memory.observe(), clock.monotonic());
		return pressure.level !== "ample";
	};
	const runtime = lifetime.use(await openSandboxRuntime({ config, clock, log, memoryIsShort }));
	const pins = new BlobPins();
	const images = openImages(input, storage, pins, lifetime, (digest) => functions.runningImage(digest));
	const meter = new Meter([], (name) => functions.records.has(name));
	const dispatcher: Dispatcher = new Dispatcher(
		{
			runtime,
			rootfs,
			contract: lambdaContract(input),
			logs,
			clock,
			ids,
			log,
			egress,
			onCodeGone: (revision) => functions.codeGone(revision),
			onLifecycle: meter.record,
			resolveRevision: (name, qualifier) => functions.revision(name, qualifier),
			cpu: lifetime.use(new ProcCpuMeter()),
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
	const inUse = () => functions.imagesInUse();
	const collector = lifetime.use(
		new Collector({ blobs, repositories: store.repositories, rootfs, pins, inUse, clock, log }),
	);
	collector.start();
	return {
		runtime,
		images,
		pins,
		functions,
		...belongings,
		dispatcher,
		meter,
		accountConcurrency: config.accountConcurrency,
	};
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

function lambdaContract({ config, clock, ids, log }: WireInput): LambdaContract {
	const { region, streamRate } = config;
	return new LambdaContract({ region, ids, log, clock, streaming: { bytesPerSecond: streamRate } });
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

function openImages(
	{ config, registryHost, accountId, clock, log }: WireInput,
	{ store, blobs, rootfs }: Storage,
	pins: BlobPins,
	lifetime: Lifetime,
	usedBy: (manifestDigest: string) => readonly string[],
): Images {
	const port = portOf(registryHost);
	const ecrName = `${accountId}.dkr.ecr.*.amazonaws.com`;
	const ourNames = [registryHost, `localhost${port}`, `127.0.0.1${port}`, ecrName, ...config.registryHosts];
	const dockerFolder = join(homedir(), ".docker");
	const remote = new RegistryClient({
		clock,
		log,
		random: Math.random,
		credentials: (host) => dockerCredentials(dockerFolder, host),
	});
	lifetime.use(remote);
	return new Images({
		blobs,
		repositories: store.repositories,
		rootfs,
		remote,
		isLocalRegistry: localRegistryMatcher(ourNames),
		localRegistry: registryHost,
		clock,
		log,
		pins,
		usedBy,
	});
}

/** The daemon at "localhost", which may have names below it, as an address does not. */
function originOf(url: string): string {
	const { protocol, host } = new URL(url);
	return `${protocol}//localhost${portOf(host)}`;
}

/** ":4747", or nothing for the scheme's own. */
function portOf(host: string): string {
	return /:\d+$/.exec(host)?.[0] ?? "";
}
