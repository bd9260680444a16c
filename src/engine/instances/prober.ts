import type { Clock } from "../../base/clock.ts";
import type { ProbeFailure, ProbeRunner, ProbeTarget } from "../../core/workload/probe-runner.ts";
import { eagerPauseMs, nextProbeState, startupBudgetMs, unknownProbe } from "../../core/workload/probe-state.ts";
import type { Probe } from "../../core/workload/workload.ts";

export interface ProberDeps {
	runner: ProbeRunner;
	clock: Clock;
	connect: ProbeTarget["connect"];
	exec: ProbeTarget["exec"];
	/** Runs something for which the container needs its CPU. */
	withCpu: <T>(task: () => Promise<T>) => Promise<T>;
}

/** Milliseconds for one connection to a loopback: past it another try is better than more patience. */
const connectLimitMs = 1000;
/** Least pause between two programs: each costs a process. */
const execPauseMs = 250;
/** Period of a probe that was given none and has succeeded once (Kubernetes' default). */
const defaultPeriodMs = 10_000;

/** Probes one process of a container until `signal` is aborted. */
export class Prober {
	readonly #deps: ProberDeps;
	readonly #signal: AbortSignal;

	constructor(deps: ProberDeps, signal: AbortSignal) {
		this.#deps = deps;
		this.#signal = signal;
	}

	/** Resolves when the container is started: undefined, also when aborted. Else with why it is not, after all its time. */
	async untilStarted(probe: Probe): Promise<ProbeFailure | undefined> {
		const startAt = this.#deps.clock.monotonic();
		await this.#sleep(probe.initialDelayMs);
		// A connection disturbs nobody: it is tried again and again, so that no period is waited out by a container that is ready.
		if (probe.periodMs === 0 || probe.check.kind === "tcp")
			return this.#eagerly(probe, startAt, startAt + startupBudgetMs(probe));
		return this.#periodically(probe, startAt);
	}

	async #eagerly(probe: Probe, startAt: number, deadline: number): Promise<ProbeFailure | undefined> {
		const { clock } = this.#deps;
		const limitMs = probe.check.kind === "tcp" ? Math.min(probe.timeoutMs, connectLimitMs) : probe.timeoutMs;
		for (let successes = 0; !this.#signal.aborted; ) {
			const leftMs = deadline - clock.monotonic();
			const failure = await this.#check(probe.check, Math.min(limitMs, Math.max(1, leftMs)));
			successes = failure ? 0 : successes + 1;
			if (successes >= probe.successThreshold) return undefined;
			const now = clock.monotonic();
			if (failure && now >= deadline) return failure;
			await this.#sleep(eagerPause(probe, now - startAt));
		}
		return undefined;
	}

	/** Kubernetes' way, with one more attempt as soon as somebody listens: this one fails without being counted. */
	async #periodically(probe: Probe, startAt: number): Promise<ProbeFailure | undefined> {
		const { clock } = this.#deps;
		let dueAt = clock.monotonic();
		for (let state = unknownProbe; !this.#signal.aborted; ) {
			const counts = clock.monotonic() >= dueAt;
			if (counts) dueAt += probe.periodMs;
			const failure = await this.#check(probe.check, probe.timeoutMs);
			if (counts || !failure) state = nextProbeState(state, !failure, probe);
			if (state.verdict === "success") return undefined;
			if (failure && state.verdict === "failure") return failure;
			if (failure?.kind === "refused" && probe.check.kind !== "exec")
				await this.#untilListening(probe.check.port, startAt, dueAt);
			else await this.#sleep(dueAt - clock.monotonic());
		}
		return undefined;
	}

	async #untilListening(port: number, startAt: number, untilMs: number): Promise<void> {
		const { clock } = this.#deps;
		while (!this.#signal.aborted && clock.monotonic() < untilMs) {
			const pauseMs = Math.min(eagerPauseMs(clock.monotonic() - startAt), untilMs - clock.monotonic());
			await this.#sleep(pauseMs);
			if (!(await this.#check({ kind: "tcp", port }, connectLimitMs))) return;
		}
	}

	/** Until aborted: each change of what the probe says, the first answer that counts among them. */
	async watch(probe: Probe, onVerdict: (failure: ProbeFailure | undefined) => void): Promise<void> {
		const startAt = this.#deps.clock.monotonic();
		await this.#sleep(probe.initialDelayMs);
		for (let state = unknownProbe; !this.#signal.aborted; ) {
			const failure = await this.#check(probe.check, probe.timeoutMs);
			if (this.#signal.aborted) return;
			const next = nextProbeState(state, !failure, probe);
			if (next.verdict !== state.verdict) onVerdict(failure);
			state = next;
			await this.#sleep(this.#periodMs(probe, state.verdict === "success", startAt));
		}
	}

	#periodMs(probe: Probe, well: boolean, startAt: number): number {
		if (probe.periodMs > 0) return probe.periodMs;
		return well ? defaultPeriodMs : eagerPause(probe, this.#deps.clock.monotonic() - startAt);
	}

	#check(check: Probe["check"], timeoutMs: number): Promise<ProbeFailure | undefined> {
		const { runner, connect, exec, withCpu } = this.#deps;
		return withCpu(() => runner.run(check, { connect, exec, timeoutMs, signal: this.#signal }));
	}

	/** Ends early, without an error, when aborted. */
	async #sleep(ms: number): Promise<void> {
		if (ms <= 0 || this.#signal.aborted) return;
		await this.#deps.clock.sleep(ms, this.#signal).catch(() => {});
	}
}

function eagerPause({ check }: Probe, sinceStartMs: number): number {
	return check.kind === "exec" ? execPauseMs : eagerPauseMs(sinceStartMs);
}
