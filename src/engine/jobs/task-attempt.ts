import type { Clock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import type { AttemptOutcome } from "../../core/job/execution-state.ts";
import type { Instance, InstanceEnd } from "../../core/workload/instance.ts";
import { viewInstance } from "./start-instance.ts";
import type { InstanceOfWorkload } from "./types.ts";

/** One try of one task: an instance with an end. */
export class TaskAttempt {
	/** Never rejects. Undefined: the machine had no room, nothing ran. */
	readonly done: Promise<AttemptOutcome | undefined>;
	readonly #instance: Instance;
	readonly #startedMs: number;
	#stoppedFor: "timeout" | "cancelled" | undefined;

	/** `memoryMiB`: what its main container may use, for the message when it used more. */
	constructor(instance: Instance, clock: Clock, { timeoutMs, memoryMiB }: { timeoutMs: number; memoryMiB: number }) {
		this.#instance = instance;
		this.#startedMs = clock.now();
		const cancelTimer = clock.after(timeoutMs, () => this.#stop("timeout"));
		this.done = this.#run(memoryMiB, timeoutMs).finally(cancelTimer);
	}

	view(of: Pick<InstanceOfWorkload, "namespace" | "name" | "part">): Promise<InstanceOfWorkload> {
		return viewInstance(this.#instance, { ...of, startedMs: this.#startedMs });
	}

	/** SIGTERM, the grace period, SIGKILL. Resolves when nothing is left of it. */
	async stop(): Promise<void> {
		this.#stop("cancelled");
		await this.#instance.ended;
	}

	#stop(why: "timeout" | "cancelled"): void {
		this.#stoppedFor ??= why;
		void this.#instance.stop(); // Resolves with `ended`, which is awaited.
	}

	async #run(memoryMiB: number, timeoutMs: number): Promise<AttemptOutcome | undefined> {
		const failure = await this.#instance.ready.then(
			() => undefined,
			(error: unknown) => error ?? new Error("The instance did not start"),
		);
		const end = await this.#instance.ended;
		if (this.#stoppedFor === "timeout")
			return {
				kind: "timeout",
				exitCode: end.code,
				message: `It ran longer than its timeout of ${timeoutMs / 1000} s`,
			};
		if (this.#stoppedFor === "cancelled") return { kind: "cancelled", exitCode: end.code, message: "It was cancelled" };
		if (end.code === 0 && !end.stopped) return { kind: "succeeded", exitCode: 0, message: "" };
		// A program that ended before its start was noticed fails `ready` as well: its own end says more.
		if (failure !== undefined && !(isSlipwayError(failure) && failure.reason === "ContainerExited"))
			return unstarted(failure);
		return { kind: "exit", exitCode: end.code, message: describeEnd(end, memoryMiB) };
	}
}

function unstarted(failure: unknown): AttemptOutcome | undefined {
	if (isSlipwayError(failure, "EXHAUSTED") || isSlipwayError(failure, "THROTTLED")) return undefined;
	const message = isSlipwayError(failure) ? failure.message : "Internal error: the instance could not be started";
	return { kind: "unstartable", exitCode: undefined, message };
}

function describeEnd({ container, code, signal, oomKilled }: InstanceEnd, memoryMiB: number): string {
	if (oomKilled) return `Container '${container}' used more memory than its limit of ${memoryMiB} MiB`;
	if (signal !== undefined) return `Container '${container}' was ended by ${signal}`;
	if (code !== undefined) return `Container '${container}' exited with code ${code}`;
	return `Container '${container}' was ended from outside`;
}
