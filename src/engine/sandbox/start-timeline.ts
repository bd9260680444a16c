import type { ColdStart, ColdStartStage, ColdStartStep } from "../../core/invocation/cold-start.ts";

/** When each stage of a sandbox's start began, until an event takes the sandbox; two tries at most, so a few marks. */
export class StartTimeline {
	#spare = false;
	readonly #marks: { stage: ColdStartStage; at: number }[] = [];

	/** Begins with the making of the sandbox. Times are monotonic milliseconds. */
	constructor(at: number) {
		this.enter("sandbox", at);
	}

	/** It stood created before anybody asked for its start. */
	released(at: number): void {
		this.#spare = true;
		this.enter("process", at);
	}

	/** To enter the stage it is in means nothing. */
	enter(stage: ColdStartStage, at: number): void {
		if (this.#marks.at(-1)?.stage !== stage) this.#marks.push({ stage, at });
	}

	/** The first of the image's programs has connected; later ones mean nothing, nor does one that has nothing to do with a start. */
	connected(at: number): void {
		if (this.#marks.at(-1)?.stage === "process") this.enter("init", at);
	}

	/**
	 * What of it an event waited for that came at `arrivedAt` and was handed over at `endAt`; undefined when the init was
	 * over by then. `nowMs` is the wall clock's time at `endAt`.
	 */
	coldStart(arrivedAt: number, endAt: number, nowMs: number): ColdStart | undefined {
		const beganAt = this.#marks[0]?.at ?? endAt;
		const last = this.#marks.at(-1);
		if (last?.stage === "first-poll" && last.at <= arrivedAt) return undefined;
		const steps: ColdStartStep[] = [{ stage: "queue", ms: Math.max(0, beganAt - arrivedAt) }];
		return {
			arrivedMs: nowMs - (endAt - arrivedAt),
			spare: this.#spare,
			steps: [...steps, ...this.#steps(arrivedAt, endAt)],
		};
	}

	#steps(from: number, endAt: number): ColdStartStep[] {
		return this.#marks.map(({ stage, at }, index) => {
			const until = this.#marks[index + 1]?.at ?? endAt;
			return { stage, ms: Math.max(0, until - Math.max(at, from)) };
		});
	}
}
