import assert from "node:assert/strict";
import { test } from "node:test";
import { EventRoom } from "../delivery/event-room.ts";
import { EventSourceMappings } from "./event-source-mappings.ts";
import type { MappedFunctions } from "./ports.ts";
import { type World, world } from "./test-world.ts";
import { queueArn } from "./testing.ts";

/** A world whose mappings share a room of so many events at once. */
async function sharedWorld(context: Parameters<typeof world>[0], maxTotal: number, queues: readonly string[]) {
	const running = new Map<string, number>();
	const most = new Map<string, number>();
	const order: string[] = [];
	let all = 0;
	let mostOfAll = 0;
	const w: World = await world(context, async (records) => {
		const [from = "", group = ""] = (records[0]?.body ?? "").split(" ");
		const key = `${from} ${group}`;
		order.push(...records.map(({ body }) => body));
		running.set(key, (running.get(key) ?? 0) + 1);
		most.set(key, Math.max(most.get(key) ?? 0, running.get(key) ?? 0));
		mostOfAll = Math.max(mostOfAll, ++all);
		await w.clock.sleep(200);
		all--;
		running.set(key, (running.get(key) ?? 0) - 1);
		return null;
	});
	const { clock, functions } = w;
	const room = new EventRoom({ clock, cpu: { idleMs: () => undefined }, cpus: 2, maxTotal, starting: () => 0 });
	const anyName: MappedFunctions = { find: () => functions.record, invoke: (...call) => functions.invoke(...call) };
	const mappings = await EventSourceMappings.open({ ...w.deps, room, functions: anyName });
	mappings.start();
	for (const name of queues) await w.queues.create(name);
	context.after(async () => {
		const ending = mappings[Symbol.asyncDispose]();
		await clock.advance(60_000);
		await ending;
		room[Symbol.dispose]();
	});
	const map = (queue: string, more = {}) => {
		const target = { kind: "function", name: `worker-${queue.replace(".fifo", "")}`, qualifier: undefined } as const;
		return mappings.create({ source: queueArn(queue), target, batchSize: 1, ...more });
	};
	return { w, map, order, most, mostOfAll: () => mostOfAll };
}

test("30 mappings with a backlog share the room: bounded at once, and every queue is drained", async (context) => {
	const names = Array.from({ length: 30 }, (_, n) => `q${n}`);
	const { w, map, order, mostOfAll } = await sharedWorld(context, 38, names);
	const { pending } = w.clock;
	for (const name of names) for (let n = 0; n < 20; n++) await w.queues.send(name, `${name} ${n}`);
	for (const name of names) await map(name);
	await w.clock.advance(60_000);
	assert.ok(mostOfAll() >= 8 && mostOfAll() <= 16, `${mostOfAll()} at once on busy CPUs`);
	assert.equal(order.length, 600);
	assert.equal(new Set(order).size, 600);
	for (const name of names) assert.equal(await w.left(name), 0, name);
	await w.clock.advance(5000);
	assert.ok(w.clock.pending <= pending, "no timers when all is done");
});

test("MaximumConcurrency and the order of a FIFO queue's groups are kept where there is too little room", async (context) => {
	const { w, map, order, most } = await sharedWorld(context, 4, ["few", "other", "line.fifo"]);
	for (let n = 0; n < 30; n++) {
		await w.queues.send("few", `few x ${n}`);
		await w.queues.send("other", `other x ${n}`);
		await w.queues.send("line.fifo", `line ${n % 2 ? "a" : "b"} ${n}`, { groupId: n % 2 ? "a" : "b" });
	}
	await map("few", { maximumConcurrency: 2 });
	await map("other");
	await map("line.fifo");
	await w.clock.advance(60_000);
	assert.equal(order.length, 90);
	assert.ok((most.get("few x") ?? 0) <= 2);
	for (const group of ["a", "b"]) {
		assert.equal(most.get(`line ${group}`), 1);
		const numbers = order.filter((body) => body.startsWith(`line ${group}`)).map((body) => Number(body.split(" ")[2]));
		assert.deepEqual(
			numbers,
			numbers.toSorted((a, b) => a - b),
		);
	}
});
