import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { type Log, silentLog } from "../../base/log.ts";
import type { ScalableRevision, ScaleObservation } from "../../core/scaling/scalable-revision.ts";
import { scalingSettings } from "../../core/service/scaling-annotations.ts";
import type { ScalingSettings } from "../../core/service/scaling-settings.ts";
import { Autoscaler } from "./autoscaler.ts";

const base = scalingSettings({}, { containerConcurrency: 1, profile: "knative" }).settings;

/** Instances are ready at once; the load is what a test says. */
class Fake implements ScalableRevision {
	settings: ScalingSettings;
	reachable = true;
	concurrency = 0;
	waiting = 0;
	count = 0;
	calls: number[] = [];
	observed = 0;
	fail: { observe?: Error; scaleTo?: Error } = {};

	constructor(settings: Partial<ScalingSettings> = {}) {
		this.settings = { ...base, ...settings };
	}

	observe(): ScaleObservation {
		this.observed++;
		if (this.fail.observe) throw this.fail.observe;
		return { ready: this.count, starting: 0, concurrency: this.concurrency, requests: 0, waiting: this.waiting };
	}

	scaleTo(count: number): void {
		if (this.fail.scaleTo) throw this.fail.scaleTo;
		this.calls.push(count);
		this.count = count;
	}
}

function scaling(t: TestContext, log: Log = silentLog) {
	const clock = new VirtualClock();
	const autoscaler = new Autoscaler({ clock, log });
	t.after(() => autoscaler[Symbol.asyncDispose]());
	return { clock, autoscaler };
}

function errors(): { log: Log; messages: string[] } {
	const messages: string[] = [];
	return { log: { ...silentLog, error: (message) => messages.push(message) }, messages };
}

test("a new revision gets its initial-scale, one from before the restart its min-scale, at once", (t) => {
	const { autoscaler } = scaling(t);
	const cases: [Partial<ScalingSettings>, boolean, number[]][] = [
		[{}, false, [1]],
		[{ initialScale: 4 }, false, [4]],
		[{ initialScale: 4, minScale: 6 }, false, [6]],
		[{ initialScale: 0 }, false, []],
		[{ initialScale: 4 }, true, []],
		[{ initialScale: 4, minScale: 2 }, true, [2]],
		[{ scaleToZero: false }, true, [1]],
	];
	for (const [index, [settings, initialized, calls]] of cases.entries()) {
		const revision = new Fake(settings);
		autoscaler.add(`${index}`, revision, { initialized });
		assert.deepEqual(revision.calls, calls, `case ${index}`);
	}
});

test("an idle revision at zero is not observed and needs no timer; a poke wakes it", async (t) => {
	const { clock, autoscaler } = scaling(t);
	const revision = new Fake();
	autoscaler.add("a", revision, { initialized: true });
	assert.equal(clock.pending, 0);
	await clock.advance(3_600_000);
	assert.equal(revision.observed, 1);
	autoscaler.poke("a");
	assert.deepEqual([revision.calls, clock.pending], [[1], 1]);
	const status = autoscaler.status("a");
	assert.deepEqual(
		[status?.desired, status?.reason, status?.phase, status?.since],
		[1, "FromZero", "activating", clock.now()],
	);
	await clock.advance(100_000);
	assert.deepEqual([revision.calls, clock.pending], [[1, 0], 0]);
});

test("a poke for each waiting request is cheap and does not decide each time", async (t) => {
	const { clock, autoscaler } = scaling(t);
	const revision = new Fake({ minScale: 1 });
	autoscaler.add("a", revision, { initialized: true });
	await clock.advance(2500);
	const before = revision.observed;
	for (let request = 0; request < 10_000; request++) autoscaler.poke("a");
	assert.equal(revision.observed - before, 1);
	autoscaler.poke("unknown");
});

test("changes are told with their reasons; a listener that fails stops nothing", async (t) => {
	const { log, messages } = errors();
	const { clock, autoscaler } = scaling(t, log);
	const events: string[] = [];
	autoscaler.onScale(() => {
		throw new Error("listener");
	});
	const stop = autoscaler.onScale(({ id, from, to, reason }) => events.push(`${id} ${from} ${to} ${reason}`));
	const revision = new Fake({ maxScale: 3 });
	autoscaler.add("a", revision, { initialized: true });
	revision.concurrency = 100;
	autoscaler.poke("a");
	await clock.advance(5000);
	assert.deepEqual(events, ["a 0 1 FromZero", "a 1 3 MaxScale"]);
	assert.equal(messages.length, 2);
	stop();
	revision.concurrency = 0;
	await clock.advance(300_000);
	assert.equal(events.length, 2);
	assert.equal(revision.count, 0);
});

test("one revision's errors are logged once and leave the others alone", async (t) => {
	const { log, messages } = errors();
	const { clock, autoscaler } = scaling(t, log);
	const [bad, good] = [new Fake(), new Fake()];
	for (const [id, revision] of Object.entries({ bad, good })) {
		autoscaler.add(id, revision, { initialized: true });
		revision.concurrency = 7;
		autoscaler.poke(id);
	}
	bad.fail.observe = new Error("gone");
	await clock.advance(10_000);
	assert.deepEqual([bad.calls, good.calls], [[1], [1, 10]]);
	assert.equal(messages.length, 1);
	bad.fail = { scaleTo: new Error("no room") };
	await clock.advance(3000);
	assert.equal(autoscaler.status("bad")?.desired, 1, "what could not be asked for is not wanted yet");
	bad.fail = {};
	await clock.advance(3000);
	assert.deepEqual(bad.calls, [1, 10], "tried again until it works");
});

test("an observation that is no number is an error, not a decision", async (t) => {
	const { log, messages } = errors();
	const { clock, autoscaler } = scaling(t, log);
	const revision = new Fake({ minScale: 2 });
	autoscaler.add("a", revision, { initialized: true });
	revision.concurrency = Number.NaN;
	await clock.advance(5000);
	assert.deepEqual([revision.calls, messages.length], [[2], 1]);
});

test("a daemon that was held up counts the seconds it missed", async (t) => {
	const { clock, autoscaler } = scaling(t);
	const revision = new Fake({ minScale: 1 });
	autoscaler.add("a", revision, { initialized: true });
	await clock.advance(60_000);
	revision.concurrency = 12;
	// The timer is five seconds late, as when the event loop was blocked.
	const after = clock.after;
	clock.after = (ms, callback) => after(ms === 1000 ? 6000 : ms, callback);
	await clock.advance(1000);
	clock.after = after;
	await clock.advance(6500);
	assert.equal(autoscaler.status("a")?.panicConcurrency, 12);
	assert.equal(autoscaler.status("a")?.desired, 18);
});

test("a revision that becomes reachable again gets its min-scale without a request", async (t) => {
	const { clock, autoscaler } = scaling(t);
	const revision = new Fake({ minScale: 3 });
	revision.reachable = false;
	autoscaler.add("a", revision, { initialized: true });
	assert.deepEqual([revision.calls, clock.pending], [[], 0]);
	revision.reachable = true;
	autoscaler.reconcile("a");
	assert.deepEqual(revision.calls, [3]);
	revision.reachable = false;
	autoscaler.reconcile("a");
	await clock.advance(100_000);
	assert.equal(revision.count, 0);
	assert.equal(clock.pending, 0);
});

test("a revision found with instances keeps them until a stable window of load is known", async (t) => {
	const { clock, autoscaler } = scaling(t);
	const revision = new Fake();
	revision.count = 20;
	revision.concurrency = 1;
	autoscaler.add("a", revision, { initialized: true });
	await clock.advance(59_000);
	assert.deepEqual([revision.calls, autoscaler.status("a")?.panicking], [[], true]);
	await clock.advance(20_000);
	assert.deepEqual(revision.calls, [10, 5, 2]);
});

test("removed and disposed: nothing is scaled any more, no timer stays", async (t) => {
	const { clock, autoscaler } = scaling(t);
	const [a, b] = [new Fake({ minScale: 1 }), new Fake({ minScale: 1 })];
	autoscaler.add("a", a);
	autoscaler.add("b", b);
	assert.throws(() => autoscaler.add("a", a), /scaled already/);
	autoscaler.remove("a");
	assert.equal(autoscaler.status("a"), undefined);
	await clock.advance(5000);
	assert.equal(a.observed, 1);
	await autoscaler[Symbol.asyncDispose]();
	assert.equal(clock.pending, 0);
	autoscaler.poke("b");
	assert.equal(clock.pending, 0);
});

test("a second of a thousand active revisions takes less than 10 ms", async (t) => {
	const { clock, autoscaler } = scaling(t);
	for (let index = 0; index < 1000; index++) {
		const revision = new Fake({ minScale: 1, maxScale: 50 });
		revision.concurrency = index % 30;
		autoscaler.add(`${index}`, revision, { initialized: true });
	}
	await clock.advance(200_000);
	const took: number[] = [];
	const after = clock.after;
	clock.after = (ms, callback) =>
		after(ms, () => {
			const beganMs = performance.now();
			callback();
			took.push(performance.now() - beganMs);
		});
	await clock.advance(22_000);
	took.sort((x, y) => x - y);
	// What others on the machine take from it is not its own: the fastest quarter tells.
	const own = took[Math.floor(took.length / 4)]!;
	t.diagnostic(`${took.length} ticks: ${own.toFixed(2)} ms, worst ${took.at(-1)?.toFixed(2)} ms`);
	assert.ok(took.length >= 20 && own < 10, `${own} ms`);
});

test("a revision that is switched off goes to zero at once, whatever asks, and back to its minimum", async (t) => {
	const { autoscaler, clock } = scaling(t);
	const revision = new Fake({ minScale: 2 });
	autoscaler.add("a", revision, { initialized: true });
	await clock.advance(3000);
	revision.settings = { ...revision.settings, disabled: true };
	revision.concurrency = 50;
	autoscaler.reconcile("a");
	assert.deepEqual([revision.count, autoscaler.status("a")?.reason], [0, "Disabled"]);
	autoscaler.poke("a");
	await clock.advance(30_000);
	assert.equal(revision.count, 0);
	revision.concurrency = 0;
	await clock.advance(5000);
	assert.equal(clock.pending, 0, "it sleeps");
	revision.settings = { ...revision.settings, disabled: false };
	autoscaler.reconcile("a");
	assert.equal(revision.count, 2);
});
