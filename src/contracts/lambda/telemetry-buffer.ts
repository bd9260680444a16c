import type { Clock } from "../../base/clock.ts";
import type { Destination } from "./telemetry-destination.ts";
import type { Buffering } from "./telemetry-subscription.ts";

export interface Dropped {
	reason: string;
	records: number;
	bytes: number;
}

const tooSlow = "Some logs were dropped because the downstream consumer is slower than the logs production rate";

/**
 * Collects records for one subscriber and sends them when there are enough of them or they are old enough. While a batch
 * is under way the next one collects; when that is full too, records are dropped and counted: never more than two
 * batches are in memory.
 */
export class TelemetryBuffer {
	readonly #buffering: Buffering;
	readonly #destination: Destination;
	readonly #clock: Clock;
	readonly #onDropped: (dropped: Dropped) => void;
	#records: string[] = [];
	#bytes = 0;
	#dropped = { records: 0, bytes: 0 };
	#sending: Promise<void> | undefined;
	#cancelTimer: (() => void) | undefined;
	/** The last batch did not arrive. Only the first of several that don't is told of; the rest are told of when one does. */
	#failing = false;
	/** The records' time has come, or `flush` was called, while a batch was under way. */
	#due = false;
	#closed = false;

	constructor(buffering: Buffering, destination: Destination, clock: Clock, onDropped: (dropped: Dropped) => void) {
		this.#buffering = buffering;
		this.#destination = destination;
		this.#clock = clock;
		this.#onDropped = onDropped;
	}

	add(record: string): void {
		if (this.#closed) return;
		const bytes = Buffer.byteLength(record);
		if (this.#sending && this.#isFull(bytes)) {
			return this.#count({ records: 1, bytes });
		}
		this.#records.push(record);
		this.#bytes += bytes;
		if (this.#isFull(0)) this.#send();
		else this.#cancelTimer ??= this.#clock.after(this.#buffering.timeoutMs, () => this.#send());
	}

	/** Sends what there is. Resolves when it has arrived, or could not. */
	async flush(): Promise<void> {
		this.#send();
		while (this.#sending) await this.#sending;
	}

	close(): void {
		this.#closed = true;
		this.#cancelTimer?.();
		this.#records = [];
		this.#destination.close();
	}

	#isFull(more: number): boolean {
		const { maxItems, maxBytes } = this.#buffering;
		return this.#records.length >= maxItems || this.#bytes + more >= maxBytes;
	}

	#send(): void {
		this.#cancelTimer?.();
		this.#cancelTimer = undefined;
		if (this.#records.length === 0 || this.#closed) return;
		if (this.#sending) {
			this.#due = true;
			return;
		}
		const records = this.#records;
		const bytes = this.#bytes;
		this.#records = [];
		this.#bytes = 0;
		this.#sending = this.#destination.send(records).then(
			() => this.#sent(undefined),
			(error: unknown) =>
				this.#sent({
					reason: `Could not send events: ${error instanceof Error ? error.message : String(error)}`,
					records: records.length,
					bytes,
				}),
		);
	}

	#sent(lost: Dropped | undefined): void {
		this.#sending = undefined;
		if (this.#closed) return;
		const again = this.#failing;
		this.#failing = lost !== undefined;
		if (lost && again) this.#count(lost);
		const { records, bytes } = this.#dropped;
		if (!lost) this.#dropped = { records: 0, bytes: 0 };
		const due = this.#due || this.#isFull(0);
		this.#due = false;
		if (due) this.#send();
		if (lost && !again) this.#onDropped(lost);
		if (!lost && records > 0) this.#onDropped({ reason: tooSlow, records, bytes });
	}

	#count({ records, bytes }: { records: number; bytes: number }): void {
		this.#dropped.records += records;
		this.#dropped.bytes += bytes;
	}
}
