/**
 * Work that is done once, however often its event is delivered. Keys are kept by the platform, at
 * http://slipway.internal/v1/idempotency/KEY, for each function and service apart.
 */

export interface Options {
	/** Seconds for which the result is known; a day where it is left out. Longer than the event can come again. */
	ttlSeconds?: number;
	/** Seconds until others may begin the work, when this process is killed at it. What is left of the function's time, or 60. */
	leaseSeconds?: number;
	/** Of the platform's keys. */
	url?: string;
	fetch?: typeof fetch;
}

/** The work is under way elsewhere, and its result is not known yet: the event should be delivered again later. */
export class InProgressError extends Error {
	override readonly name = "InProgressError";
	readonly key: string;

	constructor(key: string) {
		super(`Another delivery is at '${key}'`);
		this.key = key;
	}
}

/** The work took longer than its lease, and another delivery has begun it: what happens now is that one's. */
export class ClaimLostError extends Error {
	override readonly name = "ClaimLostError";
	readonly key: string;

	constructor(key: string) {
		super(`The claim on '${key}' lapsed before its work was done: give it a longer leaseSeconds`);
		this.key = key;
	}
}

/** The platform's keys could not be used. */
export class IdempotencyError extends Error {
	override readonly name = "IdempotencyError";
	/** HTTP status; 0 when there was no answer. */
	readonly status: number;

	constructor(status: number, message: string, cause?: unknown) {
		super(message, { cause });
		this.status = status;
	}
}

const defaultUrl = "http://slipway.internal/v1/idempotency/";
const defaultLeaseSeconds = 60;
/** The longest that the platform gives. */
const maxLeaseSeconds = 3600;
/** Of one call; keys are on the same machine. */
const callTimeoutMs = 5000;
/** Milliseconds before each further try of a call that had no answer. */
const retryMs = [50, 200, 1000];

/**
 * Does `work` unless it is done already: then its result is returned. The result must be JSON. Rejects with what `work` rejects with (then
 * the key is free again), InProgressError, ClaimLostError, IdempotencyError.
 */
export async function once<Result>(
	key: string,
	work: () => Promise<Result> | Result,
	options: Options = {},
): Promise<Result> {
	const claim = await claimKey(key, options);
	if (claim.state === "completed") return claim.result as Result;
	let result: Result;
	try {
		result = await work();
	} catch (error) {
		// A key that can't be released is free when its lease is over.
		await call("DELETE", key, options, undefined, `?token=${claim.token}`).catch(() => {});
		throw error;
	}
	const { ttlSeconds } = options;
	const completed = await retried(() =>
		call("POST", key, options, { token: claim.token, result: result ?? null, ttlSeconds }),
	);
	if (completed.status === 412) throw new ClaimLostError(key);
	await expect(completed, 204);
	return result;
}

/** What Lambda's context has of this; services need none. */
export interface Context {
	getRemainingTimeInMillis?(): number;
}

export interface HandlerOptions<Event, C> extends Options {
	/** What makes two deliveries the same: an order's number, `context.awsRequestId` of an asynchronous invocation. */
	key: (event: Event, context: C) => string;
}

/** A handler that does its work once for each key, and answers a repeated event as it answered the first. */
export function makeIdempotent<Event, Result, C extends Context = Context>(
	handler: (event: Event, context: C) => Promise<Result> | Result,
	options: HandlerOptions<Event, C>,
): (event: Event, context: C) => Promise<Result> {
	return async (event, context) => {
		const key = options.key(event, context);
		return await once(key, () => handler(event, context), { ...options, leaseSeconds: leaseOf(options, context) });
	};
}

/** The fields of an SQS record that are used here. */
export interface QueueRecord {
	messageId: string;
	body: string;
	attributes: { ApproximateReceiveCount: string; MessageGroupId?: string; [name: string]: string | undefined };
}
export interface BatchResponse {
	batchItemFailures: { itemIdentifier: string }[];
}

/**
 * A handler for a queue's trigger with ReportBatchItemFailures: each record once by its key (its message id where there is none), in
 * their order; those that fail are delivered again. After a failure in a FIFO group the group's later records wait with it.
 */
export function makeIdempotentBatch<R extends QueueRecord = QueueRecord, C extends Context = Context>(
	handler: (record: R, context: C) => unknown,
	options: Partial<HandlerOptions<R, C>> & { onError?: (error: unknown, record: R) => void } = {},
): (event: { Records: R[] }, context: C) => Promise<BatchResponse> {
	const key = options.key ?? ((record: R) => record.messageId);
	const onError = options.onError ?? ((error, { messageId }) => console.error(`Message ${messageId} failed`, error));
	return async ({ Records }, context) => {
		const failed: string[] = [];
		const stopped = new Set<string>();
		for (const record of Records) {
			const group = record.attributes.MessageGroupId;
			try {
				if (group !== undefined && stopped.has(group)) throw new Error(`An earlier message of group '${group}' failed`);
				const leaseSeconds = leaseOf(options, context);
				await once(key(record, context), async () => (await handler(record, context)) ?? null, {
					...options,
					leaseSeconds,
				});
			} catch (error) {
				onError(error, record);
				failed.push(record.messageId);
				if (group !== undefined) stopped.add(group);
			}
		}
		return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
	};
}

function leaseOf({ leaseSeconds }: Options, context: Context | undefined): number {
	const leftMs = context?.getRemainingTimeInMillis?.();
	return leaseSeconds ?? (leftMs === undefined ? defaultLeaseSeconds : Math.ceil(leftMs / 1000) + 1);
}

type Claim = { state: "claimed"; token: string } | { state: "completed"; result: unknown };

async function claimKey(key: string, options: Options): Promise<Claim> {
	const { ttlSeconds, leaseSeconds = defaultLeaseSeconds } = options;
	const lease = Math.min(maxLeaseSeconds, Math.max(1, leaseSeconds));
	const response = await retried(() => call("PUT", key, options, { leaseSeconds: lease, ttlSeconds }));
	if (response.status === 409) throw new InProgressError(key);
	if (response.status !== 200) await expect(response, 201);
	return (await response.json()) as Claim;
}

async function call(method: string, key: string, options: Options, body: unknown, query = ""): Promise<Response> {
	const { url = defaultUrl, fetch: send = fetch } = options;
	return await send(`${url}${encodeURIComponent(key)}${query}`, {
		method,
		...(body !== undefined && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
		signal: AbortSignal.timeout(callTimeoutMs),
	});
}

/** A daemon that is restarted is back in a moment. A claim whose answer was lost is in progress: the event comes again. */
async function retried(send: () => Promise<Response>): Promise<Response> {
	for (let tries = 0; ; tries++) {
		const waitMs = retryMs[tries];
		try {
			const response = await send();
			if (waitMs === undefined || (response.status !== 503 && response.status !== 429)) return response;
		} catch (error) {
			if (waitMs === undefined)
				throw new IdempotencyError(0, "The platform's idempotency keys can't be reached", error);
		}
		await new Promise((resolve) => setTimeout(resolve, waitMs));
	}
}

async function expect(response: Response, status: number): Promise<void> {
	if (response.status === status) return;
	throw new IdempotencyError(
		response.status,
		`The platform answered ${response.status}: ${(await response.text()).slice(0, 500)}`,
	);
}
