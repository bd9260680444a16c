import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { maxResponseBytes } from "./limits.ts";
import { openTestSession, type TestSession, testEvent } from "./testing/test-session.ts";
import { DirectTransport, HttpTransport, type Transport, type WalkCall } from "./testing/walk-transport.ts";

/** Numerical Recipes' generator: the same walk for the same seed. */
function randomOf(seed: number): (below: number) => number {
	let state = seed >>> 0;
	return (below) => {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		return Math.floor((state / 2 ** 32) * below);
	};
}

type ExtensionModel = {
	id: string;
	name: string;
	state: string;
	events: string[];
	poll: WalkCall | undefined;
	missed: boolean;
};

/** What the contract says, written down a second time, in the simplest way. */
class Model {
	runtime = "Started";
	phase: "init" | "idle" | "invoke" = "init";
	/** The id that answers may name. */
	event: string | undefined;
	poll: WalkCall | undefined;
	slow: { call: WalkCall; kind: "response" | "error"; streaming: boolean } | undefined;
	truncated = false;
	open = true;
	ready = 0;
	initErrors = 0;
	companionErrors = 0;
	extensions = new Map<string, ExtensionModel>();

	advance(): void {
		const external = ["ext-a", "ext-b"].every((name) => this.extensions.has(name));
		const waits = [...this.extensions.values()].every(
			({ state, events }) => state === "Ready" || (this.phase === "invoke" && !events.includes("INVOKE")),
		);
		if (this.phase === "idle" || this.runtime !== "Ready" || !waits || (this.phase === "init" && !external)) return;
		this.phase = "idle";
		this.event = undefined;
		this.ready++;
	}
}

interface Outcomes {
	delivered: Map<string, string[]>;
}

const apiBase = "/2018-06-01/runtime";

/** One sandbox with its model; `others` are ids that it must not know. */
class Walker {
	readonly model = new Model();
	readonly test: TestSession;
	readonly transport: Transport;
	readonly #random: (below: number) => number;
	readonly #outcomes: Outcomes;
	readonly #label: string;
	readonly #large = Buffer.alloc(maxResponseBytes + 1, 0x31);
	#counted = { responses: 0, errors: 0, streamed: 0 };
	#events = 0;
	#stale = "never";
	#streams = false;

	constructor(
		test: TestSession,
		transport: Transport,
		random: (below: number) => number,
		outcomes: Outcomes,
		label: string,
	) {
		this.test = test;
		this.transport = transport;
		this.#random = random;
		this.#outcomes = outcomes;
		this.#label = label;
	}

	/** False when the sandbox's processes have to be replaced. */
	async step(other: Walker): Promise<boolean> {
		const { model } = this;
		const dice = this.#random(100);
		if (model.phase === "idle" && model.runtime === "Ready" && dice < 40) this.#deliver();
		else if (dice < 46) await this.#next();
		else if (dice < 66) await this.#answer(other);
		else if (dice < 68) await this.#finishSlow();
		else if (dice < 76) await this.#register();
		else if (dice < 90) await this.#extensionNext(other);
		else if (dice < 91) await this.#extensionError();
		else if (dice < 93) await this.#subscribe();
		else if (dice < 94) await this.#breakPoll();
		else if (dice < 95) await this.#nonsense();
		else if (dice < 97) this.test.session.onLog("function", ["a line", "another"]);
		else if (dice < 98) return this.#abandon();
		else if (dice < 99 && this.#random(4) === 0) await this.#initError();
		this.#check();
		return model.runtime !== "InitError" && model.companionErrors === 0;
	}

	#send(
		method: string,
		path: string,
		headers: Record<string, string> = {},
		body: string | Buffer = "",
		answers = true,
		slow = false,
	) {
		return this.transport.send({ method, path, headers, body, slow }, answers);
	}

	#deliver(): void {
		const { model } = this;
		const id = `${this.#label}-${++this.#events}`;
		this.#outcomes.delivered.set(id, []);
		this.#streams = this.#random(3) === 0;
		const sink = () => new Writable({ write: (_chunk, _encoding, done) => done() });
		model.phase = "invoke";
		model.event = id;
		model.runtime = "Running";
		for (const extension of model.extensions.values()) {
			if (!extension.events.includes("INVOKE") || extension.state !== "Ready") continue;
			extension.state = "Running";
			extension.missed = extension.poll === undefined;
			extension.poll = undefined;
		}
		model.poll = undefined;
		this.test.session.deliver(testEvent(id, JSON.stringify(id), this.#streams ? { stream: sink } : {}));
	}

	async #next(): Promise<void> {
		const { model } = this;
		const from = model.runtime;
		const waits = from === "Started" || from === "Ready" || from === "Sent";
		const call = await this.#send("GET", `${apiBase}/invocation/next`, {}, "", !waits);
		if (from === "Running") {
			assert.deepEqual([call.status, call.body], [200, JSON.stringify(model.event)]);
		} else if (!waits) assert.equal(call.status, 403, from);
		else {
			model.runtime = "Ready";
			// The client that polled before gives up: only one of them gets the event.
			model.poll?.abort();
			model.poll = call;
			model.open = false;
			if (model.truncated) this.#outcome("error");
			model.truncated = false;
			model.advance();
		}
	}

	/** A response or error: the right id or a wrong one, a right body or a wrong one. */
	async #answer(other: Walker): Promise<void> {
		const { model } = this;
		const kind = this.#random(3) === 0 ? "error" : "response";
		const wrong = ["nobody", this.#stale, other.model.event ?? "none"];
		const id = this.#random(4) === 0 ? (wrong[this.#random(3)] ?? "") : (model.event ?? "none");
		const modes = [undefined, undefined, "streaming", "streaming", "sideways"];
		const mode = kind === "response" ? modes[this.#random(5)] : undefined;
		const manner =
			this.#random(400) === 0 ? "large" : (["whole", "whole", "whole", "slow", "truncated"] as const)[this.#random(5)];
		const known = id === model.event && model.event !== undefined;
		const legal = known && model.runtime === "Running";
		const partly = legal && mode !== "sideways" && (manner === "slow" || manner === "truncated");
		const streaming = kind === "response" && mode !== "sideways" && this.#streams;
		const headers: Record<string, string> = mode ? { "Lambda-Runtime-Function-Response-Mode": mode } : {};
		const body = manner === "large" && legal ? this.#large : '{"a":1}';
		const call = await this.#send("POST", `${apiBase}/invocation/${id}/${kind}`, headers, body, !partly, partly);
		if (!legal) {
			assert.equal(call.status, known ? 403 : 400, `${kind} of ${id} while ${model.runtime}`);
			return;
		}
		if (mode === "sideways") {
			assert.equal(call.status, 400);
			model.runtime = "Sent";
			return this.#outcome("error");
		}
		if (partly) {
			model.runtime = "Answering";
			model.slow = { call, kind, streaming };
			if (manner === "truncated") await this.#truncate();
			return;
		}
		const tooLarge = body.length > maxResponseBytes && !streaming;
		assert.equal(call.status, tooLarge ? 413 : 202);
		this.#answered(tooLarge ? "error" : kind, streaming && !tooLarge);
	}

	async #truncate(): Promise<void> {
		const { model } = this;
		const { call, streaming } = model.slow!;
		model.slow = undefined;
		model.runtime = "Sent";
		call.abort();
		await this.transport.settle();
		if (streaming) this.#outcome("streamed");
		else model.truncated = true;
	}

	async #finishSlow(): Promise<void> {
		const { slow } = this.model;
		if (!slow) return;
		this.model.slow = undefined;
		slow.call.finish();
		await this.transport.settle(slow.call);
		assert.equal(slow.call.status, 202);
		this.#answered(slow.kind, slow.streaming);
	}

	#answered(kind: "response" | "error", streaming: boolean): void {
		this.model.runtime = "Sent";
		this.#outcome(streaming ? "streamed" : kind);
	}

	#outcome(kind: string): void {
		const id = this.model.event ?? "";
		this.#outcomes.delivered.get(id)?.push(kind);
		if (kind === "response") this.#counted.responses++;
		else if (kind === "error") this.#counted.errors++;
		else this.#counted.streamed++;
		this.#stale = id;
	}

	async #register(): Promise<void> {
		const { model } = this;
		const name = ["ext-a", "ext-b", "inside", "other", ""][this.#random(5)] ?? "";
		const events = [[], ["INVOKE"], ["INVOKE", "SHUTDOWN"], ["SHUTDOWN"], ["NONE"]][this.#random(5)] ?? [];
		const headers: Record<string, string> = name ? { "Lambda-Extension-Name": name } : {};
		const call = await this.#send("POST", "/2020-01-01/extension/register", headers, JSON.stringify({ events }));
		const external = name.startsWith("ext-");
		const allowed =
			name !== "" &&
			!events.includes("NONE") &&
			!model.extensions.has(name) &&
			(external || (model.open && !events.includes("SHUTDOWN")));
		assert.equal(call.status, allowed ? 200 : 403, `register ${name} ${events}`);
		if (!allowed) return;
		const id = [...this.test.session.extensions.all].find((extension) => extension.name === name)?.id ?? "";
		model.extensions.set(name, { id, name, state: "Registered", events, poll: undefined, missed: false });
	}

	#someExtension(): ExtensionModel | undefined {
		const all = [...this.model.extensions.values()];
		return all[this.#random(Math.max(1, all.length))];
	}

	async #extensionNext(other: Walker): Promise<void> {
		const { model } = this;
		const strange = this.#random(6) === 0;
		const extension = strange ? other.#someExtension() : this.#someExtension();
		const id = extension?.id ?? ["", "junk"][this.#random(2)] ?? "";
		const headers: Record<string, string> = id ? { "Lambda-Extension-Identifier": id } : {};
		const mine = extension !== undefined && !strange;
		const polls =
			mine &&
			!extension.missed &&
			(["Registered", "Running"].includes(extension.state) || (extension.state === "Ready" && !extension.poll));
		const call = await this.#send("GET", "/2020-01-01/extension/event/next", headers, "", !polls);
		if (!mine) return assert.equal(call.status, 403);
		if (extension.missed) {
			extension.missed = false;
			assert.deepEqual(
				[call.status, JSON.parse(call.body).requestId],
				[200, model.event ?? JSON.parse(call.body).requestId],
			);
			assert.ok(JSON.parse(call.body).requestId.startsWith(this.#label), "no session sees another's event");
		} else if (polls) {
			extension.state = "Ready";
			extension.poll = call;
			model.advance();
		} else assert.equal(call.status, 403, `event/next while ${extension.state}`);
	}

	async #extensionError(): Promise<void> {
		const extension = this.#someExtension();
		if (!extension || this.#random(10) > 0) return;
		const kind = this.#random(2) === 0 ? "init" : "exit";
		const headers = {
			"Lambda-Extension-Identifier": extension.id,
			"Lambda-Extension-Function-Error-Type": "Extension.X",
		};
		const call = await this.#send("POST", `/2020-01-01/extension/${kind}/error`, headers, "{}");
		const allowed = kind === "exit" || extension.state === "Registered";
		assert.equal(call.status, allowed ? 202 : 403, `${kind}/error while ${extension.state}`);
		if (allowed) this.model.companionErrors++;
	}

	async #subscribe(): Promise<void> {
		const extension = this.#someExtension();
		if (!extension) return;
		const good = this.#random(2) === 0;
		const body = {
			schemaVersion: "2022-07-01",
			types: ["platform", "function"],
			destination: { protocol: "TCP", port: good ? 4243 : 0 },
		};
		const headers = { "Lambda-Extension-Identifier": extension.id };
		const call = await this.#send("PUT", "/2022-07-01/telemetry", headers, JSON.stringify(body));
		assert.equal(call.status, this.model.ready > 0 ? 403 : good ? 200 : 400);
	}

	/** The client gives a poll up; it is still the one who is waited for. */
	async #breakPoll(): Promise<void> {
		const waiting = [...this.model.extensions.values()].find(({ poll }) => poll);
		if (!waiting?.poll) return;
		waiting.poll.abort();
		waiting.poll = undefined;
		await this.transport.settle();
	}

	async #nonsense(): Promise<void> {
		const paths = ["/", "/2018-06-01/runtime/invocation//response", "/2018-06-01/runtime/restore/next", "/__proto__"];
		const call = await this.#send("POST", paths[this.#random(4)] ?? "/", {}, "x");
		assert.equal(call.status, 404);
	}

	async #initError(): Promise<void> {
		const call = await this.#send("POST", `${apiBase}/init/error`, {}, "{}");
		const allowed = this.model.runtime === "Started";
		assert.equal(call.status, allowed ? 202 : 403);
		if (!allowed) return;
		this.model.runtime = "InitError";
		this.model.initErrors++;
	}

	/** A timeout: the engine gives up on the event and then on the processes. A late answer reaches nobody. */
	async #abandon(): Promise<boolean> {
		const { model } = this;
		if (model.phase !== "invoke" || this.#random(3) > 0) return true;
		const id = model.event ?? "";
		const unanswered = this.#outcomes.delivered.get(id)?.length === 0;
		this.test.session.abandon();
		if (unanswered) this.#outcomes.delivered.get(id)?.push("abandoned");
		const late = await this.#send("POST", `${apiBase}/invocation/${id}/response`, {}, "1");
		assert.equal(late.status, 400);
		this.#check();
		return false;
	}

	/** The session and the model agree on everything that the engine sees. */
	#check(): void {
		const { seen } = this.test;
		const { model } = this;
		assert.deepEqual(
			[
				seen.ready,
				seen.responses.length,
				seen.errors.length,
				seen.streamed.length,
				seen.initErrors.length,
				seen.companionErrors.length,
			],
			[
				model.ready,
				this.#counted.responses,
				this.#counted.errors,
				this.#counted.streamed,
				model.initErrors,
				Math.min(1, model.companionErrors),
			],
		);
	}

	/** The processes are replaced: an event that is still without an outcome ends with them. */
	async end(): Promise<void> {
		const open = this.model.event && this.#outcomes.delivered.get(this.model.event);
		if (open && open.length === 0) open.push("reset");
		this.transport.close();
		await this.test[Symbol.asyncDispose]();
	}
}

async function walk(
	seed: number,
	steps: number,
	transportOf: (test: TestSession) => Transport,
): Promise<Map<string, number>> {
	const random = randomOf(seed);
	const outcomes: Outcomes = { delivered: new Map() };
	let sandboxes = 0;
	const open = async () => {
		const session = await openTestSession({
			companions: ["/opt/extensions/ext-a", "/opt/extensions/ext-b"],
			connect: () => new Promise(() => {}),
		});
		return new Walker(session, transportOf(session), random, outcomes, `s${++sandboxes}`);
	};
	const walkers = [await open(), await open()] as [Walker, Walker];
	for (let step = 0; step < steps; step++) {
		const index = random(2) as 0 | 1;
		const [mine, other] = [walkers[index], walkers[1 - index]!];
		try {
			if (await mine.step(other)) continue;
			await mine.end();
		} catch (error) {
			throw new Error(`Seed ${seed}, step ${step}: ${error instanceof Error ? error.message : error}`, {
				cause: error,
			});
		}
		walkers[index] = await open();
	}
	for (const walker of walkers) await walker.end();
	const ends = new Map<string, number>();
	for (const [id, kinds] of outcomes.delivered) {
		assert.equal(kinds.length, 1, `${id} ended as ${kinds.join(" and ")}`);
		ends.set(kinds[0] ?? "", (ends.get(kinds[0] ?? "") ?? 0) + 1);
	}
	return ends;
}

const seed = 20_261_121;

test("95,000 random steps of two sandboxes' clients keep to the model", async (t) => {
	const ends = await walk(seed, 95_000, (session) => new DirectTransport(session.session));
	t.diagnostic(`seed ${seed}: ${JSON.stringify(Object.fromEntries(ends))}`);
	for (const kind of ["response", "error", "streamed", "abandoned", "reset"])
		assert.ok((ends.get(kind) ?? 0) > 5, kind);
});

test("5,000 random steps over real HTTP keep to the model", async (t) => {
	const ends = await walk(seed + 1, 5_000, (session) => new HttpTransport(session));
	t.diagnostic(`seed ${seed + 1}: ${JSON.stringify(Object.fromEntries(ends))}`);
	for (const kind of ["response", "error", "streamed"]) assert.ok((ends.get(kind) ?? 0) > 10, kind);
});
