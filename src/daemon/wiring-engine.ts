/** What runs containers: the sandboxes of this machine, images, functions, and the other workloads. */
import type { Lifetime } from "../base/lifetime.ts";
import { nextPressure, noPressure } from "../engine/dispatch/memory-pressure.ts";
import { BlobPins } from "../engine/images/blob-pins.ts";
import { Collector } from "../engine/images/collect.ts";
import type { WireInput } from "./daemon.ts";
import { InternalNetwork } from "./internal-network.ts";
import { MachineMemory } from "./machine-memory.ts";
import { openSandboxRuntime } from "./sandbox-runtime.ts";
import { openFunctions } from "./wiring-functions.ts";
import { openImages } from "./wiring-images.ts";
import type { Storage } from "./wiring-storage.ts";
import { openWorkloads, type Workloads } from "./wiring-workloads.ts";

export type Engine = Awaited<ReturnType<typeof openEngine>>;

export async function openEngine(input: WireInput, storage: Storage, lifetime: Lifetime) {
	const { config, clock, log } = input;
	const { store, blobs, rootfs } = storage;
	const memory = new MachineMemory();
	// Kept from look to look: what is given back near a limit would else be taken again at once.
	let pressure = noPressure;
	const memoryIsShort = () => {
		pressure = nextPressure(pressure, memory.observe(), clock.monotonic());
		return pressure.level !== "ample";
	};
	const runtime = await openSandboxRuntime({ config, clock, log, memoryIsShort });
	const network = lifetime.use(new InternalNetwork({ runtime, hostPorts: config.hostPorts, log }));
	// Before anything can start: what is removed is all that is there.
	const reaped = await network.reap();
	const pins = new BlobPins();
	const images = openImages(input, storage, pins, lifetime, (digest) => usersOf(digest));
	const parts = await openFunctions(input, storage, { runtime: network, images, memory }, lifetime);
	const { functions } = parts;
	const workloads: Workloads = await openWorkloads(input, storage, { runtime: network, images }, lifetime);
	const usersOf = (digest: string) => [
		...functions.runningImage(digest),
		...[...workloads.imagesInUse()].filter((image) => image.manifestDigest === digest).map(({ user }) => user),
	];
	const inUse = function* () {
		yield* functions.imagesInUse();
		yield* workloads.imagesInUse();
	};
	const collector = lifetime.use(
		new Collector({ blobs, repositories: store.repositories, rootfs, pins, inUse, clock, log }),
	);
	collector.start();
	return { network, reaped, images, pins, ...parts, workloads, accountConcurrency: config.accountConcurrency };
}
