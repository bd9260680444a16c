import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { EventRoom, type RoomUser } from "./event-room.ts";

const cpus = 2;

interface Kind {
	events: number;
	/** CPU milliseconds of a cold start and of an event, and what an event waits beside that. */
	startMs?: number;
	workMs?: number;
	waitMs?: number;
	max?: number;
}

/** CPUs that all work shares, looked at every 10 ms; each function keeps its sandboxes. */
class Machine implements Disposable {
	readonly clock = new VirtualClock();
	readonly room: EventRoom;
	readonly user: RoomUser;
	readonly #jobs = new Set<{ leftMs: number; done: () => void }>();
	readonly #kinds = new Map<string, Required<Kind> & { left: number; running: number; idle: number }>();
	#idleMs = 0;
	starting = 0;
	running = 0;
	most = { starting: 0, running: 0 };
	readonly mostOf = new Map<string, number>();
	readonly firstAt = new Map<string, number>();
	readonly doneAt = new Map<string, number>();

	constructor({ maxTotal = 38, cpu = true } = {}) {
		const idleMs = () => (cpu ? this.#idleMs : undefined);
		this.room = new EventRoom({ clock: this.clock, cpu: { idleMs }, cpus, maxTotal, starting: () => this.starting });
		this.user = {
			functionOf: (key) => key.split("/")[0] ?? "",
			max: (key) => this.#kinds.get(key)?.max ?? 1,
			onRoom: (key) => this.serve(key),
		};
		this.#tick();
	}

	#tick(): void {
		this.clock.after(10, () => {
			const share = Math.min(1, cpus / Math.max(1, this.#jobs.size)) * 10;
			this.#idleMs += Math.max(0, cpus - this.#jobs.size) * 10;
			for (const job of [...this.#jobs]) {
				job.leftMs -= share;
				if (job.leftMs > 0) continue;
				this.#jobs.delete(job);
				job.done();
			}
			this.#tick();
		});
	}

	add(key: string, { events, startMs = 300, workMs = 20, waitMs = 0, max = 1000 }: Kind): void {
		this.#kinds.set(key, { events, startMs, workMs, waitMs, max, left: events, running: 0, idle: 0 });
	}

	serve(key: string): void {
		const kind = this.#kinds.get(key);
		if (!kind) throw new Error(key);
		while (kind.left > 0 && kind.running < this.room.allowed(key, this.user)) {
			kind.left--;
			kind.running++;
			void this.#run(key, kind);
		}
	}

	#work(ms: number): Promise<void> {
		return new Promise((done) => this.#jobs.add({ leftMs: ms, done }));
	}

	async #run(key: string, kind: Required<Kind> & { left: number; running: number; idle: number }): Promise<void> {
		this.room.begin(key, this.user);
		this.running++;
		this.mostOf.set(key, Math.max(this.mostOf.get(key) ?? 0, kind.running));
		if (!this.firstAt.has(key)) this.firstAt.set(key, this.clock.monotonic());
		if (kind.idle > 0) kind.idle--;
		else {
			this.starting++;
			this.most.starting = Math.max(this.most.starting, this.starting);
			await this.#work(kind.startMs);
			this.starting--;
		}
		this.most.running = Math.max(this.most.running, this.running);
		await this.#work(kind.workMs);
		if (kind.waitMs > 0) await this.clock.sleep(kind.waitMs);
		this.running--;
		kind.running--;
		kind.idle++;
		this.room.end(key, { throttled: false });
		if (kind.left + kind.running === 0) this.doneAt.set(key, this.clock.monotonic());
		this.serve(key);
	}

	serveAll(): void {
		for (const key of this.#kinds.keys()) this.serve(key);
	}

	[Symbol.dispose](): void {
		this.room[Symbol.dispose]();
	}
}

test("30 functions with a backlog on two CPUs: few cold starts at once, each has its turn soon, and all is done", async () => {
	using machine = new Machine();
	for (let name = 0; name < 30; name++) machine.add(`f${name}`, { events: 60 });
	machine.serveAll();
	assert.equal(machine.running, 8, "four for each CPU to begin with");
	await machine.clock.advance(60_000);
	assert.equal(machine.doneAt.size, 30);
	assert.ok(machine.most.starting <= 12, `${machine.most.starting} cold starts at once`);
	assert.ok(machine.most.running <= 38);
	const latest = Math.max(...machine.firstAt.values());
	assert.ok(latest < 15_000, `the last function began after ${latest} ms`);
});

test("functions that wait for others have more at once as long as the CPUs have time, up to the bound of all", async () => {
	using machine = new Machine({ maxTotal: 38 });
	for (let name = 0; name < 30; name++) machine.add(`f${name}`, { events: 40, startMs: 20, workMs: 1, waitMs: 1000 });
	machine.serveAll();
	await machine.clock.advance(60_000);
	assert.equal(machine.doneAt.size, 30);
	assert.equal(machine.most.running, 38);
});

test("a function's own bound is kept, whatever there is room for", async () => {
	using machine = new Machine();
	machine.add("narrow", { events: 50, waitMs: 200, max: 2 });
	machine.add("alone", { events: 10, waitMs: 200, max: 1 });
	machine.add("wide", { events: 400, startMs: 20, workMs: 1, waitMs: 500 });
	machine.serveAll();
	await machine.clock.advance(60_000);
	assert.equal(machine.mostOf.get("narrow"), 2);
	assert.equal(machine.mostOf.get("alone"), 1);
	assert.ok((machine.mostOf.get("wide") ?? 0) > 8);
	assert.equal(machine.doneAt.size, 3);
});

test("events that take a minute do not hold up other functions on a machine that is always busy", async () => {
	using machine = new Machine({ cpu: false });
	for (let name = 0; name < 4; name++) machine.add(`long${name}`, { events: 20, startMs: 20, waitMs: 60_000 });
	machine.serveAll();
	await machine.clock.advance(3000);
	machine.add("late", { events: 3 });
	machine.serve("late");
	await machine.clock.advance(6000);
	assert.ok(machine.doneAt.has("late"));
	assert.ok(machine.running <= 20, `${machine.running} at once`);
});

test("several ways into one function count as one: another function has as much as all of them", async () => {
	using machine = new Machine({ cpu: false });
	const counts = new Map<string, number>();
	for (let way = 0; way < 10; way++) machine.add(`many/${way}`, { events: 1000, startMs: 0, waitMs: 100 });
	for (let way = 0; way < 2; way++) machine.add(`one/${way}`, { events: 1000, startMs: 0, waitMs: 100 });
	const { begin } = machine.room;
	machine.room.begin = (key, user) => {
		const name = user.functionOf(key);
		counts.set(name, (counts.get(name) ?? 0) + 1);
		begin.call(machine.room, key, user);
	};
	machine.serveAll();
	await machine.clock.advance(30_000);
	const part = (counts.get("one") ?? 0) / ((counts.get("one") ?? 0) + (counts.get("many") ?? 0));
	assert.ok(part > 0.35, `${part} of the events`);
});

test("a place that is kept for one with nothing to do goes to others, and in the end nothing is left", async () => {
	const clock = new VirtualClock();
	const pokes: string[] = [];
	const user: RoomUser = { functionOf: (key) => key, max: () => 100, onRoom: (key) => pokes.push(key) };
	using room = new EventRoom({ clock, cpu: { idleMs: () => undefined }, cpus: 1, maxTotal: 2, starting: () => 0 });
	assert.equal(room.allowed("a", user), 1);
	assert.equal(room.allowed("a", user), 1, "kept, not counted again");
	assert.equal(room.allowed("b", user), 1);
	assert.equal(room.allowed("c", user), 0);
	await clock.advance(600);
	assert.deepEqual(pokes, ["c"]);
	assert.equal(room.allowed("c", user), 1);
	room.begin("c", user);
	room.end("c", { throttled: false });
	await clock.advance(2000);
	assert.equal(clock.pending, 0);
});
