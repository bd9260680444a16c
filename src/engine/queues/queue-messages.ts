import { isSlipwayError, type SlipwayError } from "../../base/error.ts";
import type { LaneCounts, LeasedMessage, ScanOptions, StoredMessage } from "../../core/message-log/message-log.ts";
import { maxVisibilityS, maxWaitS } from "../../core/queue/queue-attributes.ts";
import { invalidParameter, invalidValue, queueError } from "../../core/queue/queue-error.ts";
import { laneOf } from "../../core/queue/queue-name.ts";
import type { Receipt, ReceiptHandles } from "../../core/queue/receipt-handle.ts";
import type { QueueConfig } from "./queue-config.ts";
import {
	deadLetterSource,
	isStaleLease,
	type Prepared,
	prepare,
	queueMessage,
	sequenceNumber,
} from "./queue-message.ts";
import { maxInFlight } from "./queue-record.ts";
import { ReceiveAttempts } from "./receive-attempts.ts";
import type { NewMessage, Queue, QueueMessage, QueuesDeps, ReceiveOptions, SentMessage } from "./types.ts";
import type { WaitingPolls } from "./waiting-polls.ts";

const maxReceived = 10;
const attemptForm = /^[A-Za-z0-9!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~]{1,128}$/;

type MessagesDeps = Pick<QueuesDeps, "log" | "clock" | "ids" | "accountId">;

/** Sending, receiving, deleting: the operations of the queue API on messages. */
export class QueueMessages {
	readonly #deps: MessagesDeps;
	readonly #config: QueueConfig;
	readonly #polls: WaitingPolls;
	readonly #handles: ReceiptHandles;
	readonly #attempts: ReceiveAttempts;

	constructor(deps: MessagesDeps, config: QueueConfig, polls: WaitingPolls, handles: ReceiptHandles) {
		this.#deps = deps;
		this.#config = config;
		this.#polls = polls;
		this.#handles = handles;
		this.#attempts = new ReceiveAttempts(deps.clock);
	}

	prepare(name: string, message: NewMessage): Prepared {
		const { accountId, clock, ids } = this.#deps;
		return prepare(this.#config.get(name), message, accountId, clock.now(), ids);
	}

	/** All in one commit. */
	async send(name: string, prepared: readonly Prepared[]): Promise<SentMessage[]> {
		const { fifo } = this.#config.get(name);
		const results = await this.#deps.log.commit(prepared.map(({ append }) => append));
		return prepared.map(({ answer }, i) => {
			const { id, sequence } = results[i]!;
			// A duplicate is answered with the first one's id.
			return { ...answer, messageId: id, sequenceNumber: fifo ? sequenceNumber(sequence) : undefined };
		});
	}

	async receive(name: string, options: ReceiveOptions): Promise<QueueMessage[]> {
		const queue = this.#config.get(name);
		const { max = 1, attemptId, signal } = options;
		const { visibilityTimeout = queue.settings.visibilityTimeoutS, waitSeconds = queue.settings.receiveWaitS } =
			options;
		checkReceive({ max, visibilityTimeout, waitSeconds });
		if (attemptId !== undefined) {
			checkAttempt(queue, attemptId);
			const again = await this.#receivedBefore(queue, attemptId, visibilityTimeout * 1000);
			if (again) return again;
		}
		const lane = laneOf(name);
		const lease = () => this.#deps.log.lease(lane, { max, visibility: visibilityTimeout * 1000 });
		const leased = await this.#polls.poll(lane, { waitMs: waitSeconds * 1000, signal }, lease);
		if (leased.length === 0 && waitSeconds === 0 && !queue.fifo) await this.#checkInFlight(lane);
		if (signal?.aborted) return this.#giveBack(leased);
		if (attemptId !== undefined)
			this.#attempts.remember(
				name,
				attemptId,
				leased.map(({ id, token }) => ({ messageId: id, token })),
			);
		return this.messages(queue, leased);
	}

	messages(queue: Queue, stored: readonly (StoredMessage | LeasedMessage)[]): QueueMessage[] {
		const nowMs = this.#deps.clock.now();
		const find = (name: string) => this.#config.find(name);
		return stored.map((one) => queueMessage(queue, one, nowMs, deadLetterSource(queue, one, find)?.arn, this.#handles));
	}

	/** Of a standard queue it succeeds whatever has become of the message; of a FIFO queue the lease must be the message's own. */
	async delete(name: string, handle: string): Promise<void> {
		const { fifo } = this.#config.get(name);
		const receipt = this.#handles.read(handle, name);
		try {
			await this.#deps.log.commit([{ change: "settle", token: receipt.token, outcome: "done" }]);
		} catch (error) {
			if (!isStaleLease(error)) throw error;
			if (fifo && (await this.#isThere(name, receipt)))
				throw invalidValue(handle, "ReceiptHandle", "The receipt handle has expired.");
		}
	}

	async changeVisibility(name: string, handle: string, seconds: number): Promise<void> {
		const queue = this.#config.get(name);
		const { log, clock } = this.#deps;
		const receipt = this.#handles.read(handle, queue.name);
		checkRange(
			"VisibilityTimeout",
			seconds,
			0,
			maxVisibilityS,
			`Must be between 0 and ${maxVisibilityS}, if provided.`,
		);
		if (clock.now() + seconds * 1000 - receipt.receivedMs > maxVisibilityS * 1000)
			throw invalidParameter(
				`Value ${seconds} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [${maxVisibilityS} seconds]`,
			);
		try {
			await log.commit([{ change: "extend", token: receipt.token, visibilityMs: seconds * 1000 }]);
		} catch (error) {
			if (!isStaleLease(error)) throw error;
			if (isSlipwayError(error) && error.reason === "LeaseEnded") throw notInFlight();
			throw (await this.#isThere(name, receipt)) ? notInFlight() : gone(handle);
		}
	}

	async peek(name: string, options: ScanOptions): Promise<QueueMessage[]> {
		const queue = this.#config.get(name);
		return this.messages(queue, await this.#deps.log.scan(laneOf(name), options));
	}

	async counts(name: string): Promise<LaneCounts> {
		this.#config.get(name);
		return this.#deps.log.counts(laneOf(name));
	}

	async #isThere(name: string, { messageId }: Receipt): Promise<boolean> {
		const found = await this.#deps.log.find(messageId);
		return found.some(({ id, lane }) => id === messageId && lane === laneOf(name));
	}

	/** "If you reach this quota … using short polling, Amazon SQS returns the OverLimit error." */
	async #checkInFlight(lane: string): Promise<void> {
		const { inFlight } = await this.#deps.log.counts(lane);
		if (inFlight >= maxInFlight)
			throw queueError("OverLimit", `The maximum number of in flight messages, ${maxInFlight}, is reached.`);
	}

	/** Nobody is there to work on them: others may at once, and it was no receive. */
	async #giveBack(leased: readonly LeasedMessage[]): Promise<QueueMessage[]> {
		const back = leased.map(
			({ token }) => ({ change: "settle", token, outcome: "retry", delayMs: 0, counts: false }) as const,
		);
		if (back.length > 0) await this.#deps.log.commit(back);
		return [];
	}

	/** The same messages and handles, hidden anew; undefined when one of them has been deleted or shown again. */
	async #receivedBefore(queue: Queue, attemptId: string, visibilityMs: number): Promise<QueueMessage[] | undefined> {
		const leases = this.#attempts.find(queue.name, attemptId);
		if (!leases || leases.length === 0) return undefined;
		try {
			await this.#deps.log.commit(leases.map(({ token }) => ({ change: "extend", token, visibilityMs }) as const));
		} catch (error) {
			if (!isStaleLease(error)) throw error;
			this.#attempts.forget(queue.name, attemptId);
			return undefined;
		}
		const found = await Promise.all(leases.map((lease) => this.#found(queue, lease)));
		return found.flatMap((message) => message ?? []);
	}

	async #found(
		queue: Queue,
		{ messageId, token }: { messageId: string; token: string },
	): Promise<QueueMessage | undefined> {
		const stored = (await this.#deps.log.find(messageId)).filter(({ lane }) => lane === laneOf(queue.name));
		const [message] = this.messages(queue, stored);
		const receipt = { queue: queue.name, token, messageId, receivedMs: this.#deps.clock.now() };
		return message && { ...message, token, receiptHandle: this.#handles.write(receipt) };
	}
}

function checkReceive({
	max,
	visibilityTimeout,
	waitSeconds,
}: {
	max: number;
	visibilityTimeout: number;
	waitSeconds: number;
}): void {
	checkRange("MaxNumberOfMessages", max, 1, maxReceived, `Must be between 1 and ${maxReceived}, if provided.`);
	checkRange("WaitTimeSeconds", waitSeconds, 0, maxWaitS, `Must be >= 0 and <= ${maxWaitS}, if provided.`);
	const why = `Must be between 0 and ${maxVisibilityS}, if provided.`;
	checkRange("VisibilityTimeout", visibilityTimeout, 0, maxVisibilityS, why);
}

function checkRange(parameter: string, value: number, min: number, max: number, why: string): void {
	if (!Number.isSafeInteger(value) || value < min || value > max) throw invalidValue(value, parameter, why);
}

function checkAttempt({ fifo }: Queue, attemptId: string): void {
	if (!fifo)
		throw invalidValue(
			attemptId,
			"ReceiveRequestAttemptId",
			"The request includes a parameter that is not valid for this queue type.",
		);
	if (!attemptForm.test(attemptId))
		throw invalidValue(
			attemptId,
			"ReceiveRequestAttemptId",
			"ReceiveRequestAttemptId can only include alphanumeric and punctuation characters. 1 to 128 in length.",
		);
}

function notInFlight(): SlipwayError {
	return queueError("MessageNotInflight", "The message referred to isn't in flight.");
}

function gone(handle: string): SlipwayError {
	return invalidValue(
		handle,
		"ReceiptHandle",
		"Message does not exist or is not available for visibility timeout change.",
	);
}
