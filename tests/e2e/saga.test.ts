/** examples/saga: whatever step is killed, payment and stock agree in the end. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, cp, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../src/base/clock.ts";
import { randomIds } from "../../src/base/ids.ts";
import { silentLog } from "../../src/base/log.ts";
import { FakeIdempotencyStore } from "../../src/core/idempotency/fake-idempotency-store.ts";
import { Idempotency } from "../../src/engine/idempotency/idempotency.ts";
import { createIdempotencyFront } from "../../src/front/idempotency/idempotency-front.ts";

const root = join(import.meta.dirname, "../..");
/** Deliveries after which an order would be a dead letter, as in run.sh. */
const maxReceives = 6;

interface Order {
	id: string;
	amount: number;
	quantity: number;
	crash: string;
}

/** The saga's programs as processes of their own; the queue is this test. */
class Saga {
	readonly #folder: string;
	readonly #services = new Map<string, { child: ChildProcess; port: number }>();
	readonly #keys: string;
	ended = false;
	killed = 0;

	constructor(folder: string, keys: string) {
		this.#folder = folder;
		this.#keys = keys;
	}

	urlOf(name: string): string {
		return `http://127.0.0.1:${this.#services.get(name)?.port}`;
	}

	/** Started again when it is killed, as a service's instance is. */
	async service(name: string, port?: number): Promise<void> {
		const chosen = port ?? (await freePort());
		const child = this.#start([`${name}.mjs`], { PORT: String(chosen), DATA: join(this.#folder, name), PIECES: "10" });
		this.#services.set(name, { child, port: chosen });
		child.once("exit", () => {
			if (this.ended) return;
			this.killed++;
			void this.service(name, chosen);
		});
		while (!(await fetch(this.urlOf(name)).catch(() => undefined))) await sleep(20);
	}

	/** One delivery: whether the queue may delete the message. */
	async deliver(order: Order, receives: number): Promise<boolean> {
		const record = {
			messageId: `message-of-${order.id}`,
			body: JSON.stringify(order),
			attributes: { ApproximateReceiveCount: String(receives) },
		};
		const program = `import { handler } from "./order.mjs";
			const answer = await handler(${JSON.stringify({ Records: [record] })}, { getRemainingTimeInMillis: () => 1000 });
			process.stdout.write(JSON.stringify(answer));`;
		const child = this.#start(["--input-type=module", "-e", program], {
			PAYMENT_URL: this.urlOf("payment"),
			STOCK_URL: this.urlOf("stock"),
			IDEMPOTENCY_URL: this.#keys,
		});
		const [out] = await Promise.all([text(child.stdout!), once(child, "exit")]);
		if (child.signalCode !== null) this.killed++;
		return out === '{"batchItemFailures":[]}';
	}

	#start(args: string[], env: Record<string, string>): ChildProcess {
		return spawn(process.execPath, args, { cwd: this.#folder, env, stdio: ["ignore", "pipe", "ignore"] });
	}

	async states(name: string): Promise<Map<string, string>> {
		const records = (await (await fetch(this.urlOf(name))).json()) as { id: string; state: string }[];
		return new Map(records.map(({ id, state }) => [id, state]));
	}

	async end(): Promise<void> {
		this.ended = true;
		for (const { child } of this.#services.values()) {
			if (child.exitCode !== null || child.signalCode !== null) continue;
			child.kill("SIGKILL");
			await once(child, "exit");
		}
	}
}

async function freePort(): Promise<number> {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	await new Promise((resolve) => server.close(resolve));
	return port;
}

async function saga(context: TestContext) {
	const folder = await mkdtemp(join(tmpdir(), "slipway-saga-"));
	await cp(join(root, "examples/saga"), folder, { recursive: true });
	await copyFile(join(root, "packages/idempotency/src/index.ts"), join(folder, "idempotency.ts"));
	let aheadMs = 0;
	const clock = { ...systemClock, now: () => Date.now() + aheadMs };
	const common = { clock, ids: randomIds, log: silentLog };
	const idempotency = new Idempotency({ store: new FakeIdempotencyStore(), ...common });
	const front = createIdempotencyFront({ idempotency, ...common });
	const server = createServer((request, response) => void front.handle(request, response, "function/order"));
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const made = new Saga(folder, `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/idempotency/`);
	context.after(async () => {
		await made.end();
		server.closeAllConnections();
		server.close();
		await idempotency[Symbol.asyncDispose]();
		await rm(folder, { recursive: true });
	});
	await made.service("payment");
	await made.service("stock");
	/** Until the queue may delete it; between deliveries the visibility timeout passes, and with it every lease. */
	const place = async (order: Order): Promise<number> => {
		for (let receives = 1; receives <= maxReceives; receives++) {
			if (await made.deliver(order, receives)) return receives;
			aheadMs += 15_000;
		}
		throw new Error(`${order.id} (${order.crash}) is a dead letter`);
	};
	return { made, place };
}

test("whatever step of the saga is killed, each order is paid and reserved, or neither", async (context) => {
	const { made, place } = await saga(context);
	const points = ["before payment", "after payment", "before stock", "after stock"].flatMap((point) => [
		point,
		`order ${point}`,
	]);
	const undoing = ["order before undoing stock", "order before undoing payment", "order undone"];
	const orders: Order[] = [
		...points.map((crash, index) => ({ id: `fine-${index}`, amount: 100, quantity: 1, crash })),
		...undoing.map((crash, index) => ({ id: `too-much-${index}`, amount: 100, quantity: 100, crash })),
		{ id: "too-dear", amount: 5000, quantity: 1, crash: "order before undoing payment" },
	];
	for (const order of orders) assert.ok((await place(order)) > 1, `${order.crash} killed nothing`);
	assert.equal(made.killed, orders.length);
	assert.equal(await place({ id: "calm", amount: 1, quantity: 1, crash: "none" }), 1);
	const [charges, reservations] = [await made.states("payment"), await made.states("stock")];
	for (const { id } of orders) {
		const expected = id.startsWith("fine")
			? ["charged", "reserved"]
			: ["refunded", id === "too-dear" ? undefined : "released"];
		assert.deepEqual([charges.get(id), reservations.get(id)], expected, id);
	}
	// The same order, sent once more: its answer is known, and nothing happens again.
	assert.equal(await place({ ...orders[0]!, crash: "order before payment" }), 1);
	assert.equal((await made.states("stock")).size, reservations.size);
});
