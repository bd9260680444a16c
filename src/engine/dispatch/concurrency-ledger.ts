import { SlipwayError } from "../../base/error.ts";
import { RateBucket } from "./rate-bucket.ts";

/**
 * How many events run at once, and who may have one more (lambda-contract 3.8, 4.2). Pure: limits and time come in with
 * each call. An event takes a slot of one of three kinds and gives it back when its caller has the answer:
 *
 * - provisioned: of what stands initialised for its version;
 * - reserved: of what its function has for itself. Provisioned concurrency of its versions is part of that, so that a
 *   function whose reserve is all provisioned runs nothing on demand (the cloud throttles its $LATEST then);
 * - unreserved: of what the account's other functions share.
 */
export type Slot = "provisioned" | "reserved" | "unreserved";

export interface ConcurrencyLimits {
	/** Events at once, of all functions. */
	account: number;
	/** Events a second for each unit of concurrency: ten, whatever they are short (AWS: Lambda quotas, "Requests per second"). */
	requestsPerConcurrency: number;
	/** New environments of one function: as many at once, refilled evenly over the period (AWS: "Lambda scaling behavior"). */
	scaling: { environments: number; periodMs: number };
}

/** AWS's quotas for an account that nobody has raised. */
export const cloudLimits: ConcurrencyLimits = {
	account: 1000,
	requestsPerConcurrency: 10,
	scaling: { environments: 1000, periodMs: 10_000 },
};

/**
 * As Invoke names them (API_Invoke, TooManyRequestsException). For a function that needs environments faster than it may
 * have them no page says which one AWS sends: the rate's are the nearest.
 */
export type ThrottleReason =
	| "ConcurrentInvocationLimitExceeded"
	| "ReservedFunctionConcurrentInvocationLimitExceeded"
	| "FunctionInvocationRateLimitExceeded"
	| "ReservedFunctionInvocationRateLimitExceeded";

/** Milliseconds after which a throttled caller should come again, where no rate tells: some event has ended by then. */
const defaultRetryMs = 1000;

/** What one function uses. */
export class FunctionUse {
	/** Events in flight, of every kind. */
	inFlight = 0;
	/** Of these, those that no provisioned slot was there for. */
	onDemand = 0;
	/** Provisioned slots of its versions, free or not. */
	provisioned = 0;
	readonly requests = new RateBucket();
	readonly environments = new RateBucket();
}

/** The provisioned slots of one version: as many as sandboxes of it stand initialised. */
export class VersionUse {
	provisioned = 0;
	inUse = 0;
	readonly requests = new RateBucket();
}

export class ConcurrencyLedger {
	readonly #limits: ConcurrencyLimits;
	/** Of all functions: the quota is the account's. */
	readonly #requests = new RateBucket();
	#inFlight = 0;
	#unreserved = 0;

	constructor(limits: ConcurrencyLimits) {
		this.#limits = limits;
	}

	get inFlight(): number {
		return this.#inFlight;
	}

	/**
	 * Takes a slot. `reserved`: of the function, undefined when it has none; `unreserved`: what those without share.
	 * `nowMs` is monotonic. THROTTLED with a `ThrottleReason` and `retryAfterMs`.
	 */
	admit(fn: FunctionUse, version: VersionUse, reserved: number | undefined, unreserved: number, nowMs: number): Slot {
		if (reserved !== undefined && fn.inFlight >= reserved)
			throw throttled("ReservedFunctionConcurrentInvocationLimitExceeded");
		if (this.#inFlight >= this.#limits.account) throw throttled("ConcurrentInvocationLimitExceeded");
		const waitMs = this.#request(this.#requests, this.#limits.account, nowMs);
		if (waitMs > 0) throw throttled("FunctionInvocationRateLimitExceeded", waitMs);
		const slot = this.#freeSlot(fn, version, reserved, unreserved, nowMs);
		if (slot === "provisioned") version.inUse++;
		else fn.onDemand++;
		if (slot === "unreserved") this.#unreserved++;
		fn.inFlight++;
		this.#inFlight++;
		return slot;
	}

	#freeSlot(
		fn: FunctionUse,
		version: VersionUse,
		reserved: number | undefined,
		unreserved: number,
		nowMs: number,
	): Slot {
		if (version.inUse < version.provisioned && this.#request(version.requests, version.provisioned, nowMs) === 0)
			return "provisioned";
		if (reserved !== undefined) {
			if (fn.onDemand >= reserved - fn.provisioned)
				throw throttled("ReservedFunctionConcurrentInvocationLimitExceeded");
			const waitMs = this.#request(fn.requests, reserved, nowMs);
			if (waitMs > 0) throw throttled("ReservedFunctionInvocationRateLimitExceeded", waitMs);
			return "reserved";
		}
		if (this.#unreserved >= unreserved) throw throttled("ConcurrentInvocationLimitExceeded");
		return "unreserved";
	}

	#request(bucket: RateBucket, concurrency: number, nowMs: number): number {
		const perSecond = concurrency * this.#limits.requestsPerConcurrency;
		return bucket.take(nowMs, perSecond, perSecond / 1000);
	}

	release(fn: FunctionUse, version: VersionUse, slot: Slot): void {
		if (slot === "provisioned") version.inUse--;
		else fn.onDemand--;
		if (slot === "unreserved") this.#unreserved--;
		fn.inFlight--;
		this.#inFlight--;
	}

	/** So many sandboxes of the version stand initialised now. */
	setProvisioned(fn: FunctionUse, version: VersionUse, count: number): void {
		fn.provisioned += count - version.provisioned;
		version.provisioned = count;
	}

	/** Asks for one more environment on demand: 0, or the milliseconds until the function may have it. */
	takeEnvironment(fn: FunctionUse, nowMs: number): number {
		const { environments, periodMs } = this.#limits.scaling;
		return fn.environments.take(nowMs, environments, environments / periodMs);
	}

	/** One that was taken and not begun. */
	giveBackEnvironment(fn: FunctionUse): void {
		fn.environments.giveBack();
	}
}

export function throttled(reason: ThrottleReason, retryAfterMs = defaultRetryMs): SlipwayError {
	return new SlipwayError("THROTTLED", "Rate Exceeded.", { reason, retryAfterMs: Math.ceil(retryAfterMs) });
}
