/** A seeded random walk over everything that can be done to functions, with a store that fails now and then. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { FakeFunctionStore } from "../../core/function/fake-function-store.ts";
import type { FunctionRecord, FunctionVersion } from "../../core/function/function.ts";
import type { FunctionRevision } from "../../core/invocation/function-contract.ts";
import { imageUri, openFunctions, role } from "../testing/functions.ts";
import { FunctionConcurrency } from "./concurrency.ts";
import { FunctionPolicies } from "./policies.ts";
import { provisionedVersions } from "./provisioned-versions.ts";
import { FunctionUrls } from "./urls.ts";
import { FunctionVersions } from "./versions.ts";

const steps = 3000;
const names = ["f", "g", "h"];
const aliases = ["live", "canary", "constructor"];
const account = 300;

/** mulberry32 */
function randomNumbers(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** Fails before it has written anything. */
class FailingStore extends FakeFunctionStore {
	fails: () => boolean = () => false;

	#fail(): void {
		if (this.fails()) throw new SlipwayError("EXHAUSTED", "No space is left on the device");
	}

	override async put(record: FunctionRecord, version?: FunctionVersion): Promise<void> {
		this.#fail();
		await super.put(record, version);
	}

	override async delete(name: string): Promise<void> {
		this.#fail();
		await super.delete(name);
	}

	override async deleteVersion(record: FunctionRecord, version: string): Promise<void> {
		this.#fail();
		await super.deleteVersion(record, version);
	}
}

async function openAll(store: FakeFunctionStore, random: () => number) {
	const opened = await openFunctions({ store, random });
	const { functions, records } = opened;
	const counts = new Map<string, number>();
	const provisioning = {
		provision: (revision: FunctionRevision, count: number) => counts.set(`${revision.name}:${revision.version}`, count),
		provisionedState: () => undefined,
	};
	const concurrency = new FunctionConcurrency({
		records,
		serving: (name, version) => functions.serving(name, version),
		provisioning,
		clock: systemClock,
		accountConcurrency: account,
	});
	concurrency.restore();
	const urls = new FunctionUrls({
		...opened,
		clock: systemClock,
		region: "us-east-1",
		origin: () => "http://localhost:1",
	});
	return {
		...opened,
		concurrency,
		urls,
		counts,
		versions: new FunctionVersions(opened),
		policies: new FunctionPolicies(opened),
	};
}

type All = Awaited<ReturnType<typeof openAll>>;

function actions(all: All, random: () => number): (() => Promise<unknown>)[] {
	const { functions, versions, policies, concurrency, urls } = all;
	const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
	const some = (most: number) => Math.floor(random() * most);
	const name = () => pick(names);
	const alias = () => pick(aliases);
	const version = () => pick(["$LATEST", ...Array.from({ length: 8 }, (_, i) => String(i + 1))]);
	const qualifier = () => pick(["", version(), alias()]);
	const routing = () => pick([undefined, null, { version: version(), weight: random() }]);
	const aliasInput = () => {
		const chosen = routing();
		return { version: version(), ...(chosen === undefined ? {} : { routing: chosen }) };
	};
	const statement = () => ({ sid: pick(["a", "b"]), action: "lambda:InvokeFunction", principal: "*" });
	const create = () =>
		functions.create({ name: name(), role, imageUri: imageUri(1 + some(3)), publish: random() < 0.3 });
	return [
		create,
		create,
		() => functions.updateCode(name(), { imageUri: imageUri(1 + some(3)), publish: random() < 0.3 }),
		() => functions.updateConfiguration(name(), { timeoutS: 1 + some(3) }),
		() => functions.tag(name(), { a: String(some(9)) }),
		() => (random() < 0.2 ? functions.delete(name()) : functions.settled()),
		() => versions.publish(name(), {}),
		() => versions.publish(name(), {}),
		() => versions.delete(name(), version()),
		() => versions.createAlias(name(), alias(), aliasInput()),
		() => versions.updateAlias(name(), alias(), aliasInput()),
		() => versions.deleteAlias(name(), alias()),
		() => policies.add(name(), qualifier(), statement()),
		() => policies.remove(name(), qualifier(), pick(["a", "b"])),
		() => concurrency.reserve(name(), some(150)),
		() => concurrency.unreserve(name()),
		() => concurrency.provision(name(), qualifier(), 1 + some(60)),
		() => concurrency.unprovision(name(), qualifier()),
		() => urls.create(name(), pick(["", alias()]), { authType: "NONE" }),
		() => urls.delete(name(), pick(["", alias()])),
		async () => functions.codeGone(functions.revision(name(), qualifier() || "$LATEST")),
	];
}

function checkInvariants({ records, functions, concurrency, urls, counts }: All): void {
	let taken = 0;
	const provisioned = new Map<string, number>();
	for (const record of records.all()) {
		const { name } = record;
		const versions = [...records.versions(name)].map(({ version }) => version);
		assert.deepEqual(
			versions,
			[...versions].sort((a, b) => Number(a) - Number(b)),
		);
		const isThere = (version: string) => version === "$LATEST" || versions.includes(version);
		for (const { version, routing } of Object.values(record.aliases)) {
			assert.ok(isThere(version) && (!routing || (isThere(routing.version) && routing.version !== version)));
			assert.ok(!routing || version !== "$LATEST");
		}
		const qualifiers = [...Object.keys(record.aliases), ...versions, ""];
		for (const things of [record.policies, record.urls, record.provisionedConcurrency])
			for (const key of Object.keys(things))
				assert.ok(qualifiers.includes(key), `${name} has something of ${key}, which is gone`);
		for (const version of versions) assert.ok(Number(version) < record.nextVersion);
		let total = 0;
		for (const [key, { requested }] of Object.entries(record.provisionedConcurrency)) {
			total += requested;
			for (const [version, count] of provisionedVersions(record, key))
				if (functions.serving(name, version))
					provisioned.set(`${name}:${version}`, (provisioned.get(`${name}:${version}`) ?? 0) + count);
		}
		taken += record.reservedConcurrency ?? total;
		for (const [key, url] of Object.entries(record.urls))
			assert.deepEqual(urls.byUrlId(url.urlId), { name, qualifier: key, url });
	}
	assert.equal(concurrency.unreserved, account - taken);
	assert.deepEqual(new Map([...counts].filter(([, count]) => count > 0).sort()), new Map([...provisioned].sort()));
}

const everything = ({ records }: All): unknown =>
	JSON.parse(JSON.stringify(records.names().map((name) => [records.get(name), [...records.versions(name)]])));

for (const seed of [1, 2, 3])
	test(`what belongs together stays together, and a restart finds the same (seed ${seed})`, async (t) => {
		const random = randomNumbers(seed);
		const store = new FailingStore();
		const all = await openAll(store, random);
		store.fails = () => random() < 0.05;
		const doable = actions(all, random);
		const done = new Map<string, number>();
		for (let step = 0; step < steps; step++) {
			const crossing = Array.from({ length: 1 + Math.floor(random() * 3) }, () =>
				Promise.resolve().then(doable[Math.floor(random() * doable.length)] as () => Promise<unknown>),
			);
			for (const { status, reason } of (await Promise.allSettled(crossing)) as { status: string; reason?: unknown }[]) {
				if (status === "rejected" && !isSlipwayError(reason)) throw reason;
				const outcome = isSlipwayError(reason) ? reason.code : "done";
				done.set(outcome, (done.get(outcome) ?? 0) + 1);
			}
			checkInvariants(all);
		}
		store.fails = () => false;
		for (const name of all.records.names()) all.functions.get(name);
		await all.functions.settled();
		t.diagnostic(JSON.stringify(Object.fromEntries(done)));
		assert.ok((done.get("done") ?? 0) > steps / 2);
		const again = await openAll(store, random);
		await again.functions.settled();
		checkInvariants(again);
		assert.deepEqual(everything(again), everything(all));
	});
