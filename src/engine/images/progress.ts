import type { Clock } from "../../base/clock.ts";
import type { ImageProgress } from "./types.ts";

/** Ten times a second is as much as an eye or a poller makes use of. */
const intervalMs = 100;

/** Adds up what the parts of a stage have done. Parts report totals, and may start over. */
export class Progress {
	readonly #clock: Clock;
	readonly #report: ((progress: ImageProgress) => void) | undefined;
	readonly #fixed: Pick<ImageProgress, "stage" | "digest" | "total">;
	readonly #parts = new Map<string, number>();
	#done = 0;
	#lastMs = Number.NEGATIVE_INFINITY;

	constructor(
		clock: Clock,
		fixed: Pick<ImageProgress, "stage" | "digest" | "total">,
		report: ((progress: ImageProgress) => void) | undefined,
	) {
		this.#clock = clock;
		this.#fixed = fixed;
		this.#report = report;
	}

	set(part: string, done: number): void {
		this.#done += done - (this.#parts.get(part) ?? 0);
		this.#parts.set(part, done);
		const now = this.#clock.monotonic();
		if (now - this.#lastMs < intervalMs && this.#done < this.#fixed.total) return;
		this.#lastMs = now;
		this.#report?.({ ...this.#fixed, done: Math.min(this.#done, this.#fixed.total) });
	}

	async *counted(part: string, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
		let done = 0;
		for await (const chunk of source) {
			done += chunk.length;
			this.set(part, done);
			yield chunk;
		}
	}
}
