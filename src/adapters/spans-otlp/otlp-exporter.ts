/**
 * Sends spans to an OpenTelemetry collector: OTLP over HTTP in JSON (https://opentelemetry.io/docs/specs/otlp/#otlphttp).
 * Nobody waits for it. A collector that is slow, full or away costs spans, never an invocation: they are counted, and the
 * log says so.
 */
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { Span, SpanSink, SpanValue } from "../../core/trace/span.ts";
import { exportRequest, type Resource } from "./otlp-json.ts";

export interface OtlpOptions {
	/** Whole: `http://localhost:4318/v1/traces`. */
	endpoint: string;
	headers: Readonly<Record<string, string>>;
	/** Milliseconds for one request. */
	timeoutMs: number;
	resource: Resource;
	clock: Clock;
	log: Log;
	/** From 0 up to 1, for the jitter of retries. */
	random: () => number;
	fetch?: typeof fetch;
}

// The defaults of OpenTelemetry's batch span processor (https://opentelemetry.io/docs/specs/otel/trace/sdk/#batching-processor).
const maxQueued = 2048;
const maxBatch = 512;
const delayMs = 5000;
/** Tries of one batch, with 1, 2, 4 and 8 seconds between them where the collector does not say itself. */
const maxTries = 5;
const firstRetryMs = 1000;
const longestRetryMs = 30_000;
/** Milliseconds for what still waits when the daemon stops. */
const flushMs = 3000;
/** Milliseconds between two lines about lost spans. */
const quietMs = 60_000;
/** Of the collector's answer, bytes: it says how many spans it refused. */
const maxAnswer = 64 * 1024;
/** Characters of an attribute or an error's message: more is no name of anything. */
const maxTextLength = 1024;
/** Those that OTLP calls worth another try. */
const retryable: readonly number[] = [429, 502, 503, 504];

type Outcome =
	| { kind: "taken"; rejected: number; reason: string }
	| { kind: "refused"; reason: string }
	| { kind: "later"; reason: string; afterMs: number | undefined };

export class OtlpExporter implements SpanSink, AsyncDisposable {
	readonly counts = { exported: 0, dropped: 0 };
	readonly #options: OtlpOptions;
	#queue: Span[] = [];
	#cancelTimer: (() => void) | undefined;
	#sending: Promise<void> | undefined;
	/** Ends the pauses between tries … */
	readonly #closing = new AbortController();
	/** … and what is still on its way when the time for that is over. */
	readonly #cut = new AbortController();
	/** Lost since the log last said so. */
	#unreported = 0;
	#reason = "";
	#quietUntil = Number.NEGATIVE_INFINITY;

	constructor(options: OtlpOptions) {
		this.#options = options;
	}

	send(spans: readonly Span[]): void {
		const room = this.#closing.signal.aborted ? 0 : maxQueued - this.#queue.length;
		for (let index = 0; index < Math.min(room, spans.length); index++) this.#queue.push(bounded(spans[index]!));
		if (spans.length > room) this.#drop(spans.length - Math.max(0, room), "More came than the collector takes");
		if (this.#sending) return;
		if (this.#queue.length >= maxBatch) this.#start();
		else this.#cancelTimer ??= this.#options.clock.after(delayMs, () => this.#start());
	}

	/** What waits is sent, within three seconds. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#closing.abort();
		const cancel = this.#options.clock.after(flushMs, () => this.#cut.abort());
		this.#start();
		await this.#sending;
		cancel();
		this.#quietUntil = Number.NEGATIVE_INFINITY;
		this.#report();
	}

	#start(): void {
		this.#cancelTimer?.();
		this.#cancelTimer = undefined;
		this.#sending ??= this.#sendAll().finally(() => {
			this.#sending = undefined;
			if (this.#queue.length > 0) this.send([]);
		});
	}

	async #sendAll(): Promise<void> {
		while (this.#queue.length > 0) await this.#sendBatch(this.#queue.splice(0, maxBatch));
	}

	async #sendBatch(batch: readonly Span[]): Promise<void> {
		const body = exportRequest(batch, this.#options.resource);
		for (let tried = 1; ; tried++) {
			const outcome = await this.#post(body);
			if (outcome.kind === "taken") {
				const rejected = Math.min(outcome.rejected, batch.length);
				this.counts.exported += batch.length - rejected;
				return this.#drop(rejected, outcome.reason);
			}
			const last = tried >= maxTries || this.#closing.signal.aborted;
			if (outcome.kind === "refused" || last) return this.#drop(batch.length, outcome.reason);
			const backoffMs = firstRetryMs * 2 ** (tried - 1) * (0.5 + this.#options.random());
			const waitMs = Math.min(longestRetryMs, outcome.afterMs ?? backoffMs);
			// A stop ends the pause: then comes the last try.
			await this.#options.clock.sleep(waitMs, this.#closing.signal).catch(() => {});
		}
	}

	async #post(body: string): Promise<Outcome> {
		const { endpoint, headers, timeoutMs, fetch: send = fetch } = this.#options;
		try {
			const response = await send(endpoint, {
				method: "POST",
				headers: { "content-type": "application/json", ...headers },
				body,
				redirect: "error",
				signal: AbortSignal.any([this.#cut.signal, AbortSignal.timeout(timeoutMs)]),
			});
			const answer = await readStart(response);
			const reason = `The collector answered ${response.status}`;
			if (response.ok) return { kind: "taken", ...partialSuccess(answer) };
			if (!retryable.includes(response.status)) return { kind: "refused", reason };
			const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
			return { kind: "later", reason, afterMs: seconds >= 0 ? seconds * 1000 : undefined };
		} catch (error) {
			return { kind: "later", reason: `The collector can't be reached: ${describe(error)}`, afterMs: undefined };
		}
	}

	#drop(count: number, reason: string): void {
		if (count === 0) return;
		this.counts.dropped += count;
		this.#unreported += count;
		this.#reason = reason;
		this.#report();
	}

	#report(): void {
		const { clock, log, endpoint } = this.#options;
		const now = clock.monotonic();
		if (this.#unreported === 0 || now < this.#quietUntil) return;
		log.warn("Spans were lost", { spans: this.#unreported, reason: this.#reason, collector: new URL(endpoint).origin });
		this.#unreported = 0;
		this.#quietUntil = now + quietMs;
	}
}

/** What a function called its error can have a megabyte, and two thousand spans wait. */
function bounded(span: Span): Span {
	const { error } = span;
	const attributes: Record<string, SpanValue | undefined> = { ...span.attributes };
	for (const [key, value] of Object.entries(attributes)) if (typeof value === "string") attributes[key] = cut(value);
	return { ...span, attributes, ...(error !== undefined && { error: cut(error) }) };
}

function cut(text: string): string {
	if (text.length <= maxTextLength) return text;
	// Through bytes: a slice would hold on to the whole text.
	return `${Buffer.from(text.slice(0, maxTextLength)).toString()}…`;
}

async function readStart(response: Response): Promise<string> {
	const chunks: Uint8Array[] = [];
	let bytes = 0;
	for await (const chunk of response.body ?? []) {
		chunks.push(chunk);
		bytes += chunk.length;
		if (bytes > maxAnswer) break;
	}
	return Buffer.concat(chunks).toString();
}

/** https://opentelemetry.io/docs/specs/otlp/#partial-success-1; a collector that answers in no JSON at all has taken them. */
function partialSuccess(answer: string): { rejected: number; reason: string } {
	try {
		const { partialSuccess } = JSON.parse(answer) as {
			partialSuccess?: { rejectedSpans?: string | number; errorMessage?: string };
		};
		const reason = `The collector refused them: ${String(partialSuccess?.errorMessage ?? "").slice(0, 200)}`;
		return { rejected: Math.max(0, Number(partialSuccess?.rejectedSpans ?? 0)) || 0, reason };
	} catch {
		return { rejected: 0, reason: "" };
	}
}

function describe(error: unknown): string {
	if (!(error instanceof Error)) return String(error);
	return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
