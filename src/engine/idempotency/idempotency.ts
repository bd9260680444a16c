import type { Clock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { IdempotencyKey, IdempotencyStore } from "../../core/idempotency/idempotency-store.ts";

/** Bytes of a result's JSON: DynamoDB's item, where others keep theirs (Service Quotas of DynamoDB, "Item size"). */
export const maxResultBytes = 400 * 1024;
/** Bytes of a key in UTF-8: DynamoDB's sort key. */
export const maxKeyBytes = 1024;
/** Seconds: as long as a request to a service may take; a function has 900. */
export const maxLeaseSeconds = 3600;
export const defaultLeaseSeconds = 60;
/** Seconds that a key is kept: a year, and a day where nothing is said. */
export const maxTtlSeconds = 366 * 86_400;
export const defaultTtlSeconds = 86_400;
/** Of one function or service, so that none fills the disk for the others. */
const maxKeys = 5_000_000;
const maxBytes = 4 * 1024 ** 3;
/** Milliseconds between looks for keys whose time is over, and rows of one look: some milliseconds of the store's thread. */
const sweepMs = 10_000;
const sweepKeys = 2000;

export interface ClaimRequest {
	leaseSeconds?: number | undefined;
	ttlSeconds?: number | undefined;
}

export type ClaimAnswer =
	| { state: "claimed"; token: string; attempt: number; leaseUntilMs: number }
	/** `result` is JSON. */
	| { state: "completed"; result: Uint8Array; untilMs: number }
	| { state: "in-progress"; leaseUntilMs: number };

export interface IdempotencyDeps {
	store: IdempotencyStore;
	clock: Clock;
	ids: Pick<Ids, "hex">;
	log: Log;
}

/** Work that is done once for a key, however often its event is delivered: for the code of functions and services. */
export class Idempotency implements AsyncDisposable {
	readonly #deps: IdempotencyDeps;
	#cancel: (() => void) | undefined;
	#sweeping: Promise<void> | undefined;
	#closed = false;

	constructor(deps: IdempotencyDeps) {
		this.#deps = deps;
		this.#sweepAfter(sweepMs);
	}

	/** INVALID for a key or times out of bounds, EXHAUSTED past the owner's keys. */
	async claim(key: IdempotencyKey, request: ClaimRequest = {}): Promise<ClaimAnswer> {
		checkKey(key.key);
		const leaseSeconds = checkSeconds("leaseSeconds", request.leaseSeconds ?? defaultLeaseSeconds, maxLeaseSeconds);
		const ttlSeconds = checkSeconds("ttlSeconds", request.ttlSeconds ?? defaultTtlSeconds, maxTtlSeconds);
		const { store, clock, ids } = this.#deps;
		const nowMs = clock.now();
		const token = ids.hex(16);
		const leaseUntilMs = nowMs + leaseSeconds * 1000;
		const untilMs = Math.max(leaseUntilMs, nowMs + ttlSeconds * 1000);
		const outcome = await store.claim(key, { token, nowMs, leaseUntilMs, untilMs, maxKeys });
		return outcome.state === "claimed" ? { ...outcome, token, leaseUntilMs } : outcome;
	}

	/**
	 * PRECONDITION (reason "ClaimLost") when the claim lapsed and is another's now, TOO_LARGE, EXHAUSTED past the owner's bytes. `result`
	 * is JSON.
	 */
	async complete(
		key: IdempotencyKey,
		{ token, result, ttlSeconds }: { token: string; result: Uint8Array; ttlSeconds?: number | undefined },
	): Promise<void> {
		checkKey(key.key);
		const ttl = checkSeconds("ttlSeconds", ttlSeconds ?? defaultTtlSeconds, maxTtlSeconds);
		if (result.length > maxResultBytes)
			throw new SlipwayError(
				"TOO_LARGE",
				`A result has at most ${maxResultBytes} bytes; this one has ${result.length}`,
				{
					hint: "Keep it elsewhere, and its place as the result",
				},
			);
		const { store, clock } = this.#deps;
		const untilMs = clock.now() + ttl * 1000;
		if (!(await store.complete(key, { token, result, untilMs, maxBytes }))) throw claimLost(key.key);
	}

	/** The work was not done and may be begun anew. PRECONDITION (reason "ClaimLost"). */
	async release(key: IdempotencyKey, token: string): Promise<void> {
		checkKey(key.key);
		if (!(await this.#deps.store.release(key, token))) throw claimLost(key.key);
	}

	#sweepAfter(ms: number): void {
		if (this.#closed) return;
		this.#cancel = this.#deps.clock.after(ms, () => {
			this.#sweeping = this.#sweep();
		});
	}

	/** As long as there is much to delete, look again at once, but after others had their turn. */
	async #sweep(): Promise<void> {
		const { store, clock, log } = this.#deps;
		let nextMs = sweepMs;
		try {
			if ((await store.sweep(clock.now(), sweepKeys)) === sweepKeys) nextMs = 50;
		} catch (error) {
			if (!this.#closed) log.warn("Idempotency keys that are over could not be deleted; will try again", { error });
		}
		this.#sweepAfter(nextMs);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#closed = true;
		this.#cancel?.();
		await this.#sweeping;
	}
}

function checkKey(key: string): void {
	const bytes = Buffer.byteLength(key);
	if (bytes >= 1 && bytes <= maxKeyBytes) return;
	throw new SlipwayError("INVALID", `A key has 1 to ${maxKeyBytes} bytes; this one has ${bytes}`, {
		hint: "Use a hash of what it is made of",
	});
}

function checkSeconds(name: string, value: number, most: number): number {
	if (Number.isInteger(value) && value >= 1 && value <= most) return value;
	throw new SlipwayError("INVALID", `${name} is ${value}: it must be a whole number of seconds from 1 to ${most}`);
}

function claimLost(key: string): SlipwayError {
	return new SlipwayError("PRECONDITION", `The claim on '${key.slice(0, 200)}' is not yours any more`, {
		reason: "ClaimLost",
		hint: "It lapsed, or was completed or released: claim it again to see. Claim with a longer leaseSeconds than the work takes",
	});
}
