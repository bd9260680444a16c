/**
 * Queues, mappings and a function that fails in every way, with a process that dies at any moment and settings that change while
 * batches are in hand. Nothing is lost, what a filter leaves out is never seen, a group's order is kept, poison ends in the dead letters
 * once each.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SlipwayError } from "../../src/base/error.ts";
import { FakeMessageLog } from "../../src/core/message-log/fake-message-log.ts";
import type { MessageLog } from "../../src/core/message-log/message-log.ts";
import { FakeResourceStore } from "../../src/core/resource/fake-resource-store.ts";
import { EventSourceMappings } from "../../src/engine/event-source-mappings/event-source-mappings.ts";
import {
	FakeFunctions,
	FakeQueues,
	failed,
	queueArn,
	type TestRecord,
	testDeps,
	testIds,
} from "../../src/engine/event-source-mappings/testing.ts";
import { Random } from "./random.ts";
import { VirtualClock } from "./virtual-clock.ts";

const seeds = 12;
const steps = 60;
const visibilityTimeoutS = 30;
const maxReceiveCount = 4;
const groups = ["g0", "g1", "g2"];
const filters = ['{"body":{"kind":["work","poison"]}}'];

interface Body {
	kind: "work" | "poison" | "spam";
	group?: string;
	/** In its group. */
	n?: number;
}

type Taken = Body & { id: string };

class World {
	readonly random: Random;
	readonly clock = new VirtualClock();
	readonly log = new FakeMessageLog({ clock: this.clock });
	readonly queues = new FakeQueues(this.log);
	readonly store = new FakeResourceStore();
	readonly ids = testIds();
	readonly sent = new Map<string, Body>();
	readonly processed = new Set<string>();
	readonly nextOf = new Map<string, number>();
	/** Highest of a group that was processed, with all before it. */
	readonly doneOf = new Map<string, number>();
	readonly inHand = new Set<string>();
	readonly wrong: string[] = [];
	mappings!: EventSourceMappings;
	/** Of the process that lives; what another one still does has no effect. */
	process = 0;
	calm = false;
	restarts = 0;

	constructor(seed: number) {
		this.random = new Random(seed);
	}

	async begin(): Promise<void> {
		await this.queues.create("dead");
		await this.queues.create("work", {
			visibilityTimeoutS,
			redrive: { to: "dead", maxReceiveCount },
		});
		await this.queues.create("work.fifo", { visibilityTimeoutS });
		await this.start();
		await this.create("work");
		await this.create("work.fifo");
	}

	async start(): Promise<void> {
		const process = ++this.process;
		this.inHand.clear();
		const alive = () => this.process === process;
		this.mappings = await EventSourceMappings.open(
			testDeps({
				clock: this.clock,
				log: onlyWhile(alive, this.log as MessageLog),
				queues: onlyWhile(alive, this.queues),
				functions: new FakeFunctions((records) => this.invoke(records, alive)),
				more: { store: this.store, ids: this.ids },
			}),
		);
		this.mappings.start();
	}

	async kill(): Promise<void> {
		this.restarts++;
		this.process++;
		this.log.restart();
		await this.clock.advance(this.random.below(3000));
		await this.start();
	}

	async create(queue: string): Promise<void> {
		const reportsItemFailures = this.random.chance(50);
		await this.mappings.create({
			source: queueArn(queue),
			target: { kind: "function", name: "worker", qualifier: undefined },
			filters,
			reportsItemFailures,
		});
	}

	async invoke(records: TestRecord[], alive: () => boolean): Promise<unknown> {
		const { random } = this;
		if (!this.calm && random.chance(10)) throw new SlipwayError("THROTTLED", "Rate Exceeded.");
		const taken = this.take(records);
		await this.clock.sleep(random.below(20_000));
		if (!alive()) return new Promise(() => {});
		const isWhole = this.calm || !random.chance(20);
		const failures = taken.filter(({ kind }) => kind === "poison" || (!this.calm && random.chance(10)));
		for (const { group } of taken) if (group !== undefined) this.inHand.delete(group);
		if (!isWhole) return failed;
		if (failures.length > 0 && !this.reportsFor(taken)) return failed;
		// It goes on behind a failure; what it does there does not bring its group further.
		for (const one of taken) if (!failures.includes(one)) this.done(one, failures);
		return { batchItemFailures: failures.map(({ id }) => ({ itemIdentifier: id })) };
	}

	/** Whether the mapping that these came by has the answer looked at. Nothing in a step changes it while its batches are in hand. */
	reportsFor(taken: readonly Body[]): boolean {
		const source = queueArn(taken[0]?.group === undefined ? "work" : "work.fifo");
		return this.mappings.list({ source })[0]?.reportsItemFailures ?? false;
	}

	/** A batch has the rest of its groups from the first that is not done, or was done and its end lost, each after the one before it. */
	take(records: TestRecord[]): Taken[] {
		const taken = records.map(({ messageId, body }) => ({ ...(JSON.parse(body) as Body), id: messageId }));
		for (const { id, kind } of taken) if (kind === "spam") this.wrong.push(`${id} should have been left out`);
		for (const [group, run] of Map.groupBy(taken, (one) => one.group)) {
			if (group === undefined) continue;
			if (this.inHand.has(group)) this.wrong.push(`${group} is in two hands`);
			this.inHand.add(group);
			let next = Math.min(run[0]?.n ?? 0, (this.doneOf.get(group) ?? -1) + 1);
			for (const { n } of run) if (n !== next++) this.wrong.push(`${group}: ${n} came instead of ${next - 1}`);
		}
		return taken;
	}

	done({ id, group, n = 0 }: Taken, failures: readonly Taken[]): void {
		this.processed.add(id);
		if (group === undefined || failures.some((one) => one.group === group && (one.n ?? 0) < n)) return;
		this.doneOf.set(group, Math.max(n, this.doneOf.get(group) ?? -1));
	}

	async send(): Promise<void> {
		const { random } = this;
		if (random.chance(40)) {
			const group = random.pick(groups);
			const n = this.nextOf.get(group) ?? 0;
			this.nextOf.set(group, n + 1);
			const body: Body = { kind: "work", group, n };
			this.sent.set(await this.queues.send("work.fifo", JSON.stringify(body), { groupId: group }), body);
			return;
		}
		const body: Body = { kind: random.pick(["work", "work", "work", "poison", "spam"]) };
		this.sent.set(await this.queues.send("work", JSON.stringify(body)), body);
	}

	async step(): Promise<void> {
		const { random, mappings } = this;
		for (let left = random.below(8); left > 0; left--) await this.send();
		const one = random.pick(mappings.list().filter(({ state }) => state !== "Deleting"));
		switch (random.below(8)) {
			case 0:
				return this.kill();
			case 1:
				await mappings.update(one.uuid, { enabled: !one.enabled });
				break;
			case 2:
				await mappings.update(one.uuid, { batchSize: 1 + random.below(10) });
				break;
			case 3:
				await mappings.update(one.uuid, { maximumConcurrency: random.chance(50) ? 2 + random.below(5) : "none" });
				break;
			case 4:
				if (!one.sourceArn.endsWith(".fifo")) await mappings.update(one.uuid, { windowS: random.below(5) });
				break;
			case 5: {
				await mappings.delete(one.uuid);
				const name = one.sourceArn.split(":").at(-1) ?? "";
				while (mappings.list({ source: one.sourceArn }).length > 0) await this.clock.advance(1000);
				await this.create(name);
				break;
			}
			default:
		}
		await this.clock.advance(random.below(15_000));
	}

	/** Everything that is left goes through. */
	async settle(): Promise<void> {
		this.calm = true;
		for (const { uuid } of this.mappings.list()) await this.mappings.update(uuid, { enabled: true, windowS: 0 });
		await this.clock.advance(3_600_000);
	}

	async end(): Promise<void> {
		const ending = this.mappings[Symbol.asyncDispose]();
		await this.clock.advance(60_000);
		await ending;
		this.process++;
		this.log[Symbol.dispose]();
	}
}

/** Calls have no effect once the process is dead, and never return. */
function onlyWhile<T extends object>(alive: () => boolean, target: T): T {
	return new Proxy(target, {
		get(object, name) {
			const value: unknown = Reflect.get(object, name, object);
			if (typeof value !== "function") return value;
			return (...given: unknown[]) => {
				if (!alive() && name !== "find" && name !== "watch") return new Promise(() => {});
				const result: unknown = Reflect.apply(value, object, given);
				if (!(result instanceof Promise)) return result;
				return result.then((answer) => (alive() ? answer : new Promise(() => {})));
			};
		},
	});
}

test(`nothing is lost and no group is out of order (${seeds} seeds)`, async () => {
	let restarts = 0;
	let sent = 0;
	let dead = 0;
	for (let seed = 1; seed <= seeds; seed++) {
		const world = new World(seed);
		await world.begin();
		for (let step = 0; step < steps; step++) await world.step();
		await world.settle();
		const letters = await world.log.scan("sqs/dead", { limit: 1000 });
		const where = `seed ${seed}`;
		assert.deepEqual(world.wrong, [], where);
		for (const name of ["sqs/work", "sqs/work.fifo"])
			assert.deepEqual(
				(await world.log.scan(name, { limit: 10 })).map(({ id }) => id),
				[],
				`${where}: ${name} is not empty`,
			);
		const deadIds = letters.map(({ id }) => id);
		assert.equal(new Set(deadIds).size, deadIds.length, `${where}: a dead letter came twice`);
		for (const [id, { kind }] of world.sent) {
			const ends = [world.processed.has(id) && "processed", deadIds.includes(id) && "dead"].filter(Boolean);
			if (kind === "work") assert.ok(ends.length > 0, `${where}: ${id} is lost`);
			else assert.deepEqual(ends, kind === "poison" ? ["dead"] : [], `${where}: ${id} is ${kind}`);
		}
		restarts += world.restarts;
		sent += world.sent.size;
		dead += deadIds.length;
		await world.end();
	}
	assert.ok(restarts > seeds && sent > seeds * 100 && dead > seeds, `${restarts} restarts, ${sent} sent, ${dead} dead`);
});
