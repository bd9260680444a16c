/** Months of schedules in seconds: kills, downtime, a clock that is set by an hour either way, storage that fails; every tick once or by policy. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { longTests } from "../../src/base/testing/long-tests.ts";
import { parseScheduleExpression } from "../../src/core/schedule-expression/schedule-expression.ts";
import type { MissedTicks } from "../../src/engine/schedules/due-ticks.ts";
import { Schedules } from "../../src/engine/schedules/schedules.ts";
import { ScheduleWorld, spec } from "../../src/engine/schedules/testing.ts";
import { Random } from "./random.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
/** Of virtual time, from 1 January 2026: spring's and autumn's changes of the clocks are in it, in both hemispheres. */
const days = 320;

/** The one-time ones lie in skipped and repeated hours too: 02:30 is twice there in Berlin on 25 October. */
const schedules: Record<string, { expression: string; timeZone: string; windowMinutes?: number }> = {
	berlin: { expression: "cron(30 2 * * ? *)", timeZone: "Europe/Berlin" },
	newYork: { expression: "cron(15 1-3 ? * SUN *)", timeZone: "America/New_York" },
	lordHowe: { expression: "cron(0/15 1,2 * 4,10 ? *)", timeZone: "Australia/Lord_Howe" },
	hours: { expression: "rate(7 hours)", timeZone: "UTC" },
	window: { expression: "cron(0 0/8 * * ? *)", timeZone: "Asia/Tehran", windowMinutes: 45 },
	lastDay: { expression: "cron(0 23 L * ? *)", timeZone: "Pacific/Apia" },
	once: { expression: "at(2026-10-25T02:30:00)", timeZone: "Europe/Berlin" },
	onceMore: { expression: "at(2026-05-05T05:05:05)", timeZone: "America/Sao_Paulo" },
};

interface Outage {
	/** Wall clock, milliseconds: ticks of that time may be late or missed. */
	fromMs: number;
	toMs: number;
}

class Simulation {
	readonly world = new ScheduleWorld({ idleMs: 2 * hourMs });
	readonly outages: Outage[] = [];
	readonly kills = { process: 0, commit: 0, step: 0 };
	readonly #random: () => number;
	readonly #missed: MissedTicks;
	#kill: () => void = () => {};

	constructor(seed: number, missed: MissedTicks) {
		const random = new Random(seed);
		this.#random = () => random.below(1_000_000) / 1_000_000;
		this.#missed = missed;
	}

	async run(): Promise<void> {
		const { world } = this;
		const first = await this.#start();
		for (const [name, { expression, ...rest }] of Object.entries(schedules))
			await first.create(
				"default",
				name,
				spec(expression, { ...rest, to: { input: "<aws.scheduler.scheduled-time>" } }),
				name,
			);
		const endMs = world.clock.now() + days * dayMs;
		while (world.clock.now() < endMs) {
			await world.clock.advance(this.#within(hourMs, 4 * dayMs));
			await this.#mishap();
		}
		await world.clock.advance(dayMs);
	}

	async #mishap(): Promise<void> {
		const { world } = this;
		const choice = this.#random();
		const fromMs = world.clock.now();
		if (choice < 0.3) {
			this.kills.process++;
			this.#kill();
			await world.clock.advance(this.#within(minuteMs, 9 * hourMs));
			this.outages.push({ fromMs, toMs: world.clock.now() });
			await this.#start();
		} else if (choice < 0.6) await this.#killInCommit();
		else if (choice < 0.8) {
			this.kills.step++;
			const step = this.#random() < 0.5 ? hourMs : -hourMs;
			world.clock.step(step);
			if (step > 0) this.outages.push({ fromMs, toMs: world.clock.now() });
			await world.clock.advance(this.#within(minuteMs, 5 * hourMs));
			const backMs = world.clock.now();
			world.clock.step(-step);
			if (step < 0) this.outages.push({ fromMs: backMs, toMs: world.clock.now() });
		} else await this.#failWrites();
	}

	/** In the middle of whatever is written next, before or after it takes effect. */
	async #killInCommit(): Promise<void> {
		const { world } = this;
		const port = this.#random() < 0.5 ? world.log : world.store;
		const moment = this.#random() < 0.5 ? "before" : "after";
		let killedMs: number | undefined;
		port.onCommit = (when: "before" | "after") => {
			if (when !== moment || killedMs !== undefined) return;
			this.kills.commit++;
			this.#kill();
			killedMs = world.clock.now();
			if (when === "before") throw new Error("killed");
		};
		for (let hour = 0; hour < 48 && killedMs === undefined; hour++) await world.clock.advance(hourMs);
		port.onCommit = undefined;
		if (killedMs === undefined) return;
		await world.clock.advance(this.#within(0, hourMs));
		// The tick that was being fired was due before it.
		this.outages.push({ fromMs: killedMs - hourMs, toMs: world.clock.now() });
		await this.#start();
	}

	async #failWrites(): Promise<void> {
		const { world } = this;
		let left = this.#within(1, 6);
		const fail = (when: "before" | "after") => {
			if (when === "before" && left-- > 0) throw new Error("the disk is busy");
		};
		world.store.onCommit = fail;
		world.log.onCommit = fail;
		await world.clock.advance(dayMs);
		world.store.onCommit = undefined;
		world.log.onCommit = undefined;
	}

	async #start(): Promise<Schedules> {
		const { deps, kill } = this.world.process({ missed: this.#missed, lookMs: 30 * minuteMs });
		this.#kill = kill;
		const opened = await Schedules.open(deps);
		opened.start();
		return opened;
	}

	#within(from: number, to: number): number {
		return Math.floor(from + this.#random() * (to - from));
	}

	/** Scheduled times that were delivered, each with the ids of its messages. */
	delivered(name: string): Map<number, Set<string>> {
		const times = new Map<number, Set<string>>();
		for (const { delivery } of this.world.targets.calls) {
			if (!delivery.sourceArn.endsWith(`/${name}`)) continue;
			const at = Date.parse(Buffer.from(delivery.body).toString());
			times.set(at, (times.get(at) ?? new Set()).add(delivery.id));
		}
		return times;
	}
}

/** Milliseconds around an outage: a clock's step is seen so late, and storage is tried again for so long. */
const slackMs = 60 * minuteMs;

function check(simulation: Simulation, missed: MissedTicks): { fired: number; left: number } {
	const startMs = Date.UTC(2026, 0, 1);
	const counts = { fired: 0, left: 0 };
	for (const [name, { expression, timeZone }] of Object.entries(schedules)) {
		const schedule = parseScheduleExpression(expression, { timeZone, anchorMs: startMs });
		const delivered = simulation.delivered(name);
		const endMs = startMs + days * dayMs;
		for (let at = schedule.next(startMs - 1); at !== undefined && at < endMs; at = schedule.next(at)) {
			const shownAt = Math.floor(at / 1000) * 1000;
			const ids = delivered.get(shownAt);
			if (ids) {
				assert.equal(ids.size, 1, `${name} fired ${ids.size} times at ${new Date(at).toISOString()}`);
				counts.fired++;
				delivered.delete(shownAt);
				continue;
			}
			counts.left++;
			const why = `${name} did not fire at ${new Date(at).toISOString()}`;
			assert.equal(missed === "all" || schedule.kind === "at", false, why);
			const outage = simulation.outages.find(({ fromMs, toMs }) => at! >= fromMs - slackMs && at! <= toMs + slackMs);
			assert(outage, `${why}, and nothing was wrong then`);
			if (missed !== "one") continue;
			// The latest of an outage is never the one that is left out.
			const next = schedule.next(at);
			assert(next !== undefined && next <= outage.toMs + slackMs, `${why}, the last of its outage`);
		}
		for (const [at] of delivered)
			assert(at >= endMs, `${name} fired at ${new Date(at).toISOString()}, which is no time of its own`);
	}
	return counts;
}

describe("months of schedules", () => {
	const quick = [
		[1, "one"],
		[3, "all"],
		[5, "skip"],
	] as const;
	const long = [
		[2, "one"],
		[4, "all"],
		[6, "skip"],
		[7, "one"],
		[8, "all"],
	] as const;
	for (const [seed, missed] of longTests ? [...quick, ...long] : quick)
		test(`seed ${seed}, missed ticks: ${missed}`, async (t) => {
			const simulation = new Simulation(seed, missed);
			using world = simulation.world;
			await simulation.run();
			const { fired, left } = check(simulation, missed);
			const { process, commit, step } = simulation.kills;
			t.diagnostic(`${fired} fired, ${left} left out; ${process} kills, ${commit} in a commit, ${step} clock steps`);
			assert(fired > 1500 && process > 10 && commit > 5 && step > 5, `${fired} ${process} ${commit} ${step}`);
			assert(world.targets.calls.length >= fired);
		});
});
