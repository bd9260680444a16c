/**
 * Which pieces of work were begun and done, by keys that the code that does them chooses. A claim is a lease: who holds it may do the
 * work; it ends by `complete`, `release` or its time, so that work whose doer was killed is done again. Keys are an owner's own.
 */
export interface IdempotencyStore {
	/**
	 * Takes the key when nobody has it: new, its time over, or its last claim lapsed. On the disk before it resolves. EXHAUSTED (reason
	 * "TooManyKeys") for a new key past `maxKeys`, and when the disk is full.
	 */
	claim(key: IdempotencyKey, claim: Claim): Promise<ClaimOutcome>;
	/**
	 * Keeps the result until `untilMs`. False when the token is not that of the newest claim: another has begun the work since. True again
	 * for one that was completed with the same token. EXHAUSTED (reason "TooManyBytes") past `maxBytes` of results.
	 */
	complete(key: IdempotencyKey, completion: Completion): Promise<boolean>;
	/** The key is as new. False when the token is not that of the newest claim, or the work is complete. */
	release(key: IdempotencyKey, token: string): Promise<boolean>;
	/** Deletes at most `max` keys whose time is over, the oldest first: how many. */
	sweep(nowMs: number, max: number): Promise<number>;
	/** Keys that are kept, those over that are not swept included, and bytes of their results. */
	usage(owner: string): Promise<{ keys: number; bytes: number }>;
}

export interface IdempotencyKey {
	/** Whose code: `function/NAME`, `/slipway/services/NAMESPACE/NAME`. */
	owner: string;
	key: string;
}

export interface Claim {
	/** Unique. */
	token: string;
	/** Epoch milliseconds. */
	nowMs: number;
	/** When another may claim it. */
	leaseUntilMs: number;
	/** When the key is forgotten, if nobody completes it. Not before the lease ends. */
	untilMs: number;
	/** Of the owner. */
	maxKeys: number;
}

export interface Completion {
	token: string;
	/** JSON. */
	result: Uint8Array;
	untilMs: number;
	/** Of the owner's results. */
	maxBytes: number;
}

export type ClaimOutcome =
	/** `attempt`: 1, or more when earlier claims lapsed. */
	| { state: "claimed"; attempt: number }
	| { state: "completed"; result: Uint8Array; untilMs: number }
	| { state: "in-progress"; leaseUntilMs: number };
