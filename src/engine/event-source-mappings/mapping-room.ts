import type { EventRoom, RoomUser } from "../delivery/event-room.ts";
import type { BatchDelivery, BatchOutcome, BatchRequest } from "./batch-outcome.ts";
import type { EventSourceMapping } from "./mapping.ts";

/** A mapping's part of the room that events have: batches to functions begin as fast as the machine allows. */
export class MappingRoom {
	readonly #room: EventRoom;
	readonly #key: string;
	readonly #user: RoomUser;
	#functionName = "";
	#most = 1;

	constructor(room: EventRoom, { uuid }: EventSourceMapping, onRoom: () => void) {
		this.#room = room;
		this.#key = `mapping/${uuid}`;
		this.#user = { functionOf: () => this.#functionName, max: () => this.#most, onRoom };
	}

	/** Batches at once that may be in hand now; `reserved` is the function's concurrency. */
	allowed({ target, maximumConcurrency }: EventSourceMapping, reserved: number): number {
		if (target.kind === "function") this.#functionName = target.name;
		// With a reserve of 0 one is tried, and told of it.
		this.#most = Math.max(1, Math.min(reserved, maximumConcurrency ?? Number.POSITIVE_INFINITY));
		return this.#room.allowed(this.#key, this.#user);
	}

	deliverer(delivery: BatchDelivery): BatchDelivery {
		return { deliver: (request, signal) => this.#deliver(delivery, request, signal) };
	}

	async #deliver(delivery: BatchDelivery, request: BatchRequest, signal: AbortSignal): Promise<BatchOutcome> {
		this.#room.begin(this.#key, this.#user);
		let throttled = false;
		try {
			const outcome = await delivery.deliver(request, signal);
			throttled = outcome.kind === "later" && outcome.throttled;
			return outcome;
		} finally {
			this.#room.end(this.#key, { throttled });
		}
	}
}
