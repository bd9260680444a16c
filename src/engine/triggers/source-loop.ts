import { type Clock, settledWithin } from "../../base/clock.ts";
import { isSlipwayError, type SlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { BrokerMessage, EventSource, SourceSession, Verdict } from "../../core/event-source/event-source.ts";
import { reconnectDelayMs } from "../../core/event-source/reconnect-delay.ts";
import type { TriggerStatus } from "../../core/trigger/trigger.ts";

export interface SourceLoopOptions {
	name: string;
	prefetch: number;
	clock: Clock;
	logger: Log;
	/** [0, 1). */
	random: () => number;
	/** Asked for each connection: what a secret is now. */
	source(): Promise<EventSource>;
	/** `stopping` aborts when no more are taken, and when the connection that it came by is lost. Never rejects. */
	onMessage(message: BrokerMessage, stopping: AbortSignal): Promise<Verdict>;
	onReconnect(): void;
}

/** Milliseconds that messages in hand have at a stop; then they go back to the broker. */
const graceMs = 10_000;
/** Milliseconds for the broker to take the last answers. */
const closeMs = 3000;

type State = Pick<TriggerStatus, "state" | "message" | "sinceMs" | "nextAttemptMs">;

/** Keeps one source connected: again and again, later each time, until it is stopped. */
export class SourceLoop {
	readonly #options: SourceLoopOptions;
	readonly #stopping = new AbortController();
	readonly #abandon = new AbortController();
	#done: Promise<void> | undefined;
	#inHand = 0;
	#failures = 0;
	#state: State;

	constructor(options: SourceLoopOptions) {
		this.#options = options;
		this.#state = this.#stateNow("connecting");
	}

	get state(): State & { inHand: number } {
		return { ...this.#state, inHand: this.#inHand };
	}

	start(): void {
		this.#done ??= this.#run();
	}

	/** Takes no more; messages in hand are answered, or given back after 10 s. */
	async stop(): Promise<void> {
		this.#stopping.abort();
		const done = this.#done ?? Promise.resolve();
		await settledWithin(done, graceMs, this.#options.clock);
		this.#abandon.abort();
		await settledWithin(done, closeMs, this.#options.clock);
	}

	async #run(): Promise<void> {
		const { signal } = this.#stopping;
		while (!signal.aborted) {
			try {
				await this.#session();
			} catch (error) {
				if (signal.aborted) return;
				await this.#waitAfter(error);
			}
		}
	}

	async #session(): Promise<void> {
		const { source, prefetch } = this.#options;
		this.#state = this.#stateNow("connecting", this.#state.message);
		const session = await source();
		const lost = new AbortController();
		const stopping = AbortSignal.any([this.#stopping.signal, lost.signal]);
		try {
			await session.run(this.#sessionOf(prefetch, stopping));
		} finally {
			lost.abort();
		}
	}

	#sessionOf(prefetch: number, stopping: AbortSignal): SourceSession {
		return {
			prefetch,
			signal: this.#stopping.signal,
			onConnected: () => {
				this.#failures = 0;
				this.#state = this.#stateNow("connected");
				this.#options.logger.info("A trigger's source is connected", { trigger: this.#options.name });
			},
			onMessage: (message) => this.#answer(message, stopping),
		};
	}

	async #answer(message: BrokerMessage, stopping: AbortSignal): Promise<Verdict> {
		const abandoned = this.#abandon.signal;
		const { promise, resolve } = Promise.withResolvers<Verdict>();
		const release = () => resolve({ verdict: "release" });
		abandoned.addEventListener("abort", release, { once: true });
		this.#inHand++;
		try {
			return await Promise.race([this.#options.onMessage(message, stopping), promise]);
		} finally {
			this.#inHand--;
			abandoned.removeEventListener("abort", release);
		}
	}

	async #waitAfter(error: unknown): Promise<void> {
		const { clock, random, name, logger, onReconnect } = this.#options;
		onReconnect();
		const waitMs = reconnectDelayMs(++this.#failures, random);
		// Adapters' messages are made for people and name no secret; anything else is a bug, whose words may.
		const message = isSlipwayError(error) ? withHint(error) : "Internal error";
		const before = this.#state;
		this.#state = { ...this.#stateNow("error", message), nextAttemptMs: clock.now() + waitMs };
		const fields = { trigger: name, problem: message, waitMs: Math.round(waitMs) };
		if (!isSlipwayError(error)) logger.error("A trigger's source failed", { ...fields, error });
		// The same problem is told once.
		else if (before.message !== message) logger.warn("A trigger's source is not connected", fields);
		await clock.sleep(waitMs, this.#stopping.signal).catch(() => {});
	}

	#stateNow(state: State["state"], message?: string): State {
		return { state, message, sinceMs: this.#options.clock.now(), nextAttemptMs: undefined };
	}
}

function withHint({ message, hint }: SlipwayError): string {
	return hint === undefined ? message : `${message}. ${hint}`;
}
