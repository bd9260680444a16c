import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as settle } from "node:timers/promises";
import type { Clock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { silentLog } from "../../base/log.ts";
import type { Digest } from "../../core/image/digest.ts";
import { FakeBlobStore } from "../../core/image/fake-blob-store.ts";
import { mediaTypes } from "../../core/image/manifest.ts";
import { FakeRepositoryStore } from "../../core/repository/fake-repository-store.ts";
import { BlobPins } from "./blob-pins.ts";
import { Collector, collectable } from "./collect.ts";
import { deleteImage } from "./repository-images.ts";
import { digest, FakeLayers } from "./testing.ts";

const hour = 3_600_000;
const a = digest(Buffer.from("a"));
const b = digest(Buffer.from("b"));

test("only what is unneeded and old may go", () => {
	const blobs = [
		{ digest: a, modifiedMs: 0 },
		{ digest: b, modifiedMs: 1 },
	];
	const layers = [{ diffId: a, unusedSinceMs: 1 }];
	const none = () => false;
	assert.deepEqual(collectable({ blobs, layers, isNeeded: none }, hour, hour), { blobs: [a], layers: [] });
	assert.deepEqual(collectable({ blobs, layers, isNeeded: none }, hour + 1, hour), { blobs: [a, b], layers: [a] });
	const needed = { blobs, layers, isNeeded: (of: Digest) => of === a };
	assert.deepEqual(collectable(needed, 9 * hour, hour), { blobs: [b], layers: [] });
});

/** Steps of all actors in an order that the seed decides: each store call waits for its turn. */
class Simulation {
	now = 0;
	readonly clock: Clock;
	#state: number;
	#waiting: (() => void)[] = [];
	#actors = 0;

	constructor(seed: number) {
		this.#state = seed;
		this.clock = {
			now: () => this.now,
			monotonic: () => this.now,
			sleep: () => this.turn(),
			after: () => () => {},
		};
	}

	/** mulberry32 */
	random(): number {
		this.#state = (this.#state + 0x6d2b79f5) | 0;
		let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	}

	pick<T>(items: readonly T[]): T {
		return items[Math.floor(this.random() * items.length)] as T;
	}

	turn(): Promise<void> {
		return new Promise((resolve) => this.#waiting.push(resolve));
	}

	/** The same object, but every method waits for its turn before and after. */
	slowed<T extends object>(target: T): T {
		return new Proxy(target, {
			get: (object, name) => {
				const member = Reflect.get(object, name) as unknown;
				if (typeof member !== "function" || name === "list")
					return typeof member === "function" ? member.bind(object) : member;
				return async (...args: unknown[]) => {
					await this.turn();
					const result = await member.apply(object, args);
					await this.turn();
					return result;
				};
			},
		});
	}

	actor(run: () => Promise<void>): void {
		this.#actors++;
		run().then(
			() => this.#actors--,
			(error) => {
				this.failure ??= error;
				this.#actors--;
			},
		);
	}

	failure: unknown;

	async run(check: () => void): Promise<void> {
		while (this.#actors > 0) {
			if (this.#waiting.length === 0) {
				await settle();
				continue;
			}
			const [next] = this.#waiting.splice(Math.floor(this.random() * this.#waiting.length), 1);
			this.now += this.random() < 0.2 ? Math.floor(this.random() * hour) : 1;
			next?.();
			for (let i = 0; i < 12; i++) await undefined;
			check();
			if (this.failure) throw this.failure;
		}
	}
}

interface World {
	simulation: Simulation;
	blobs: FakeBlobStore;
	repositories: FakeRepositoryStore;
	rootfs: FakeLayers;
	pins: BlobPins;
	functions: Map<string, { manifestDigest: Digest; diffIds: Digest[]; parts: Digest[] }>;
	collector: Collector;
}

function world(seed: number, sharedPins = true): World {
	const simulation = new Simulation(seed);
	const blobs = new FakeBlobStore({ clock: simulation.clock });
	const repositories = new FakeRepositoryStore();
	const rootfs = new FakeLayers();
	const pins = new BlobPins();
	const functions: World["functions"] = new Map();
	const collector = new Collector({
		blobs: simulation.slowed(blobs),
		repositories: simulation.slowed(repositories),
		rootfs: simulation.slowed(rootfs),
		pins: sharedPins ? pins : new BlobPins(),
		inUse: () => functions.values(),
		clock: simulation.clock,
		log: silentLog,
	});
	return { simulation, blobs, repositories, rootfs, pins, functions, collector };
}

const contents = Array.from({ length: 7 }, (_, i) => Buffer.from(`content ${i}`));
const repositoryNames = ["one", "two"];

/** As a client pushes: blobs that are there are not sent again. */
async function pushOnce(w: World): Promise<void> {
	const blobs = w.simulation.slowed(w.blobs);
	const repositories = w.simulation.slowed(w.repositories);
	const repository = w.simulation.pick(repositoryNames);
	const chosen: Buffer[] = [...contents.filter(() => w.simulation.random() < 0.4), contents[0]!];
	const [config, ...layers] = [...new Set(chosen)].map((bytes) => ({
		mediaType: "x",
		digest: digest(bytes),
		size: bytes.length,
	}));
	const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, config, layers }));
	const all = [manifest, ...new Set(chosen)];
	const release = await w.pins.pin(all.map(digest));
	try {
		for (const bytes of all) {
			if (!(await blobs.stat(digest(bytes)))) await blobs.put({ digest: digest(bytes) }, chunk(bytes));
			await repositories.linkBlob(repository, digest(bytes));
		}
		const references = [...new Set(chosen)].map(digest);
		await repositories.putManifest(
			repository,
			{
				digest: digest(manifest),
				mediaType: mediaTypes.ociManifest,
				size: manifest.length,
				pushedMs: 0,
				references,
				imageSize: 1,
			},
			w.simulation.pick(["a", "b"]),
		);
	} finally {
		release();
	}
}

async function* chunk(bytes: Uint8Array) {
	yield bytes;
}

async function deleteOnce(w: World): Promise<void> {
	const repositories = w.simulation.slowed(w.repositories);
	const repository = w.simulation.pick(repositoryNames);
	const [found] = await repositories.listManifests(repository, { limit: 1 });
	if (!found) return;
	await deleteImage(repositories, repository, found.digest).catch((error: unknown) => {
		if (!(error instanceof SlipwayError && error.code === "NOT_FOUND")) throw error;
	});
	await repositories.unlinkBlob(repository, found.digest);
}

/** A function takes an image into use, runs on it whether its repository keeps it or not, and is deleted. */
async function useOnce(w: World, name: string): Promise<void> {
	const repositories = w.simulation.slowed(w.repositories);
	const [found] = await repositories.listManifests(w.simulation.pick(repositoryNames), { limit: 1 });
	if (!found) return;
	const diffIds = [w.simulation.pick([a, b])];
	const release = await w.pins.pin([found.digest, ...found.references, ...diffIds]);
	const isWhole = [found.digest, ...found.references].every((part) => w.blobs.blobs.has(part));
	if (isWhole) {
		const layer = { diffId: diffIds[0] as Digest, digest: a, mediaType: "x", size: 1, path: "x" };
		await w.simulation.slowed(w.rootfs).unpack(layer);
		w.functions.set(name, { manifestDigest: found.digest, diffIds, parts: found.references });
	}
	release();
	for (let i = 0; i < 8; i++) await w.simulation.turn();
	w.functions.delete(name);
}

async function repeat(w: World, times: number, task: () => Promise<void>): Promise<void> {
	for (let i = 0; i < times; i++) {
		await w.simulation.turn();
		await task();
	}
}

async function simulate(seed: number, sharedPins = true): Promise<number> {
	const w = world(seed, sharedPins);
	for (const name of repositoryNames)
		await w.repositories.createRepository({ name, createdMs: 0, tagMutability: "MUTABLE", tags: {} });
	let collected = 0;
	let check = 0;
	const collect = async () => {
		const { blobs, layers } = await w.collector.collect();
		collected += blobs + layers;
	};
	for (let i = 0; i < 2; i++) w.simulation.actor(() => repeat(w, 6, () => pushOnce(w)));
	for (let i = 0; i < 2; i++) w.simulation.actor(() => repeat(w, 10, () => deleteOnce(w)));
	w.simulation.actor(() => repeat(w, 6, () => useOnce(w, "f")));
	w.simulation.actor(() => repeat(w, 14, collect));
	const pending: Promise<void>[] = [];
	await w.simulation.run(() => {
		if (++check % 3 !== 0) return;
		pending.push(
			w.repositories.referencedDigests().then((referenced) => {
				for (const needed of referenced)
					if (!w.blobs.blobs.has(needed)) w.simulation.failure ??= new Error(`seed ${seed}: lost ${needed}`);
			}),
		);
		for (const { manifestDigest, diffIds, parts } of w.functions.values()) {
			for (const needed of [manifestDigest, ...parts])
				if (!w.blobs.blobs.has(needed)) w.simulation.failure ??= new Error(`seed ${seed}: a function lost ${needed}`);
			for (const diffId of diffIds)
				if (!w.rootfs.layers.has(diffId)) w.simulation.failure ??= new Error(`seed ${seed}: a function lost a layer`);
		}
	});
	await Promise.all(pending);
	if (w.simulation.failure) throw w.simulation.failure;
	await emptied(w, seed);
	return collected;
}

/** When everything is deleted, everything goes. */
async function emptied(w: World, seed: number): Promise<void> {
	for (const name of repositoryNames) await w.repositories.deleteRepository(name);
	w.simulation.actor(async () => {
		for (let i = 0; i < 3; i++) {
			w.simulation.now += 2 * hour;
			await w.collector.collect();
		}
	});
	await w.simulation.run(() => {});
	assert.equal(w.blobs.blobs.size, 0, `seed ${seed}: blobs are left`);
	assert.equal(w.rootfs.layers.size, 0, `seed ${seed}: layers are left`);
}

test("pushes, deletes and functions race the collection, and nothing that is referred to is ever lost", async () => {
	let collected = 0;
	for (let seed = 1; seed <= 60; seed++) collected += await simulate(seed);
	assert.ok(collected > 100, `only ${collected} were collected: the simulation proves nothing`);
});

test("the simulation finds the loss that pins prevent", async () => {
	let losses = 0;
	for (let seed = 1; seed <= 30; seed++)
		await simulate(seed, false).catch((error: unknown) => {
			assert.match(String(error), /lost/);
			losses++;
		});
	assert.ok(losses > 0);
});

test("a layer that is mounted stays, and a stopped collector ends at once", async () => {
	const w = world(1);
	w.rootfs.layers.set(a, { diffId: a, size: 1, entries: 1 });
	const plain = new Collector({
		blobs: w.blobs,
		repositories: w.repositories,
		rootfs: Object.assign(w.rootfs, {
			remove: async () => {
				throw new SlipwayError("CONFLICT", "mounted");
			},
		}),
		pins: w.pins,
		inUse: () => [],
		clock: { ...w.simulation.clock, sleep: async () => {} },
		log: silentLog,
	});
	await plain.collect();
	w.simulation.now += 2 * hour;
	assert.equal((await plain.collect()).layers, 0);
	assert.equal(w.rootfs.layers.size, 1);
	plain.start(1);
	await plain[Symbol.asyncDispose]();
});

test("a pin waits for a removal that has begun, and keeps off the next", async () => {
	const pins = new BlobPins();
	const removal = Promise.withResolvers<void>();
	const removing = pins.removing([a], () => removal.promise);
	let pinned = false;
	const pin = pins.pin([a]).then((release) => {
		pinned = true;
		return release;
	});
	await settle();
	assert.equal(pinned, false);
	removal.resolve();
	const release = await pin;
	await removing;
	await pins.removing([a], () => assert.fail("pinned"));
	release();
	release();
	assert.equal(pins.isPinned(a), false);
	let removed = 0;
	await pins.removing([a, b], async (free) => {
		removed = free.length;
	});
	assert.equal(removed, 2);
});
