import type { Clock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { Semaphore } from "../../base/semaphore.ts";
import type { MessageLog } from "../../core/message-log/message-log.ts";

export interface OrphanLanesDeps {
	log: MessageLog;
	clock: Clock;
	logger: Log;
	/** Nothing is appended to the lanes but in turn: one that is empty stays so meanwhile. */
	turn: Semaphore;
	/** Whether a schedule has the lane, such as a new one of the same name. */
	isOwned(lane: string): boolean;
}

/** Milliseconds between two looks: the last ticks of schedules that have deleted themselves are delivered, or tried again, first. */
const lookMs = 30_000;
/** Lanes of one look: ticks that are due wait for it. */
const maxLooks = 64;

/** Lanes of schedules that have deleted themselves: removed once they are empty. Those of a process that was killed are its next one's. */
export class OrphanLanes implements Disposable {
	readonly #deps: OrphanLanesDeps;
	readonly #lanes = new Set<string>();
	#cancel: (() => void) | undefined;
	#closed = false;

	constructor(deps: OrphanLanesDeps) {
		this.#deps = deps;
	}

	add(lane: string): void {
		this.#lanes.add(lane);
		this.#arm();
	}

	[Symbol.dispose](): void {
		this.#closed = true;
		this.#cancel?.();
	}

	#arm(): void {
		if (this.#closed || this.#cancel || this.#lanes.size === 0) return;
		this.#cancel = this.#deps.clock.after(lookMs, () => void this.#look());
	}

	async #look(): Promise<void> {
		try {
			// All that are there, in parts: those that are still used come behind the others.
			for (let left = this.#lanes.size; left > 0 && !this.#closed; left -= maxLooks)
				await this.#deps.turn.run(() => this.#removeEmpty([...this.#lanes].slice(0, Math.min(left, maxLooks))));
		} catch (error) {
			this.#deps.logger.debug("Lanes of schedules that are gone could not be removed yet", { error });
		}
		this.#cancel = undefined;
		this.#arm();
	}

	async #removeEmpty(lanes: readonly string[]): Promise<void> {
		const { log, isOwned } = this.#deps;
		await Promise.all(
			lanes.map(async (lane) => {
				this.#lanes.delete(lane);
				if (isOwned(lane)) return;
				const { visible, delayed, inFlight } = await log.counts(lane).catch(noCounts);
				if (visible + delayed + inFlight === 0) await log.removeLane(lane);
				else this.#lanes.add(lane);
			}),
		);
	}
}

/** Of a lane that is not there any more. */
function noCounts(error: unknown): { visible: number; delayed: number; inFlight: number } {
	if (!isSlipwayError(error, "NOT_FOUND")) throw error;
	return { visible: 0, delayed: 0, inFlight: 0 };
}
