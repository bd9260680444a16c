import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { SlipwayError } from "../../base/error.ts";
import { fromWire } from "../../base/wire-error.ts";
import type { Append, LogChange } from "../../core/message-log/message-log.ts";
import type { Batch, BatchResult, Call, Message, WireChange } from "./protocol.ts";

/** Calls under way at once: past it they are THROTTLED rather than held in memory without bound. */
const maxPending = 20_000;
/** And bytes of their contents. */
const maxPendingBytes = 134_217_728;
/** Calls in one batch, of which the thread takes several to a commit: no more than fit one. */
const maxBatchCalls = 512;
/** Bytes in one batch; the first call always fits. */
const maxBatchBytes = 8_388_608;

interface Waiting {
	call: Call;
	/** What of the call becomes bytes of the batch's contents. */
	appends: Encoded[];
	bytes: number;
	resolve: (value: unknown) => void;
	reject: (error: Error) => void;
}

interface Encoded {
	wire: Extract<WireChange, { change: "append" }>;
	headers: string;
	body: Uint8Array;
	bytes: number;
}

/** The log's thread as the main thread sees it: calls in, promises out, and as many calls in one message as wait. */
export class LogThread {
	readonly #worker: Worker;
	readonly #exited: Promise<void>;
	readonly #now: () => number;
	#waiting: Waiting[] = [];
	/** Those that the thread has. */
	#sent: Waiting[] = [];
	#pending = 0;
	#pendingBytes = 0;
	#ended: Error | undefined;
	#closing = false;
	#scheduled = false;
	onResult: (result: BatchResult, calls: number) => void = () => {};
	/** The thread ended by a bug of ours: every call is refused from now on. */
	onFailure: (error: unknown) => void = () => {};

	private constructor(worker: Worker, now: () => number, ready: PromiseWithResolvers<BatchResult>) {
		this.#worker = worker;
		this.#now = now;
		this.#exited = new Promise((resolve) => worker.once("exit", () => resolve()));
		worker.on("message", (message: Message) => {
			if ("result" in message) this.#settle(message.result);
			else if ("failed" in message) ready.reject(fromWire(message.failed));
			else ready.resolve(message.ready);
		});
		const end = (error: Error) => {
			this.#ended ??= error;
			ready.reject(this.#ended);
			for (const { reject } of [...this.#sent, ...this.#waiting]) reject(this.#ended);
			this.#sent = [];
			this.#waiting = [];
		};
		worker.on("error", (cause) => {
			end(new SlipwayError("UNAVAILABLE", "The event log has failed", { cause, hint: "Restart the daemon" }));
			this.onFailure(cause);
		});
		worker.on("exit", () => end(new SlipwayError("UNAVAILABLE", "The event log is closed")));
	}

	static async start(path: string, now: () => number): Promise<{ thread: LogThread; opened: BatchResult }> {
		const script = new URL(`./log-worker${extname(import.meta.url)}`, import.meta.url);
		const worker = new Worker(script, { workerData: { path, nowMs: now() } });
		const ready = Promise.withResolvers<BatchResult>();
		const thread = new LogThread(worker, now, ready);
		return { thread, opened: await ready.promise };
	}

	/** Calls that have not been answered. */
	get pending(): number {
		return this.#pending;
	}

	call(method: string, parameters: unknown[]): Promise<unknown> {
		return this.#enqueue({ method, parameters }, [], 0);
	}

	commit(changes: readonly LogChange[]): Promise<unknown> {
		const appends: Encoded[] = [];
		let bytes = 0;
		const wire = changes.map((change): WireChange => {
			if (change.change !== "append") return change;
			const encoded = encode(change);
			appends.push(encoded);
			bytes += encoded.bytes;
			return encoded.wire;
		});
		return this.#enqueue({ method: "commit", parameters: [wire] }, appends, bytes);
	}

	/** Finishes the calls under way. Idempotent. */
	async close(): Promise<void> {
		this.#closing = true;
		while (this.#waiting.length > 0 && !this.#ended) this.#sendBatch();
		if (!this.#ended) this.#worker.postMessage("close");
		await this.#exited;
	}

	#enqueue(call: Call, appends: Encoded[], bytes: number): Promise<unknown> {
		if (this.#ended) return Promise.reject(this.#ended);
		if (this.#closing) return Promise.reject(new SlipwayError("UNAVAILABLE", "The event log is closed"));
		if (this.#pending >= maxPending || this.#pendingBytes > maxPendingBytes)
			return Promise.reject(new SlipwayError("THROTTLED", `The event log has ${this.#pending} calls waiting already`));
		const { promise, resolve, reject } = Promise.withResolvers<unknown>();
		this.#pending++;
		this.#pendingBytes += bytes;
		this.#waiting.push({ call, appends, bytes, resolve, reject });
		this.#sendSoon();
		return promise;
	}

	/** After this turn of the event loop, which may bring more calls. */
	#sendSoon(): void {
		if (this.#scheduled) return;
		this.#scheduled = true;
		setImmediate(() => {
			this.#scheduled = false;
			while (this.#waiting.length > 0 && !this.#ended) this.#sendBatch();
		});
	}

	#sendBatch(): void {
		let bytes = 0;
		let calls = 0;
		for (const one of this.#waiting) {
			if (calls > 0 && (calls >= maxBatchCalls || bytes + one.bytes > maxBatchBytes)) break;
			bytes += one.bytes;
			calls++;
		}
		const batch = this.#waiting.splice(0, calls);
		const contents = writeContents(batch, bytes);
		for (const one of batch) this.#sent.push(one);
		const message: Batch = { nowMs: this.#now(), calls: batch.map(({ call }) => call), contents };
		this.#worker.postMessage(message, [contents.buffer]);
	}

	#settle(result: BatchResult): void {
		const batch = this.#sent.splice(0, result.outcomes.length);
		for (const [index, one] of batch.entries()) {
			const outcome = result.outcomes[index];
			this.#pending--;
			this.#pendingBytes -= one.bytes;
			if (!outcome) one.reject(new Error("The event log's thread did not answer a call"));
			else if ("error" in outcome) one.reject(fromWire(outcome.error));
			else one.resolve(outcome.value);
		}
		this.onResult(result, batch.length);
	}
}

function encode(change: Append): Encoded {
	const { body, headers, ...rest } = change;
	const json = headers && Object.keys(headers).length > 0 ? JSON.stringify(headers) : "";
	const headersBytes = Buffer.byteLength(json);
	const wire = { ...rest, from: 0, to: 0, headersBytes };
	return { wire, headers: json, body, bytes: headersBytes + body.length };
}

/** One block for the whole batch, which goes to the thread without being copied. */
function writeContents(batch: readonly Waiting[], bytes: number): Uint8Array<ArrayBuffer> {
	const contents = Buffer.from(new ArrayBuffer(bytes));
	let at = 0;
	for (const { appends } of batch)
		for (const { wire, headers, body } of appends) {
			wire.from = at;
			at += contents.write(headers, at);
			contents.set(body, at);
			at += body.length;
			wire.to = at;
		}
	return contents;
}
