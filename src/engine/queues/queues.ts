import { SlipwayError } from "../../base/error.ts";
import type { LaneCounts, ScanOptions, SettleOutcome } from "../../core/message-log/message-log.ts";
import { type Permission, withoutPermission, withPermission } from "../../core/queue/permissions.ts";
import { queueError } from "../../core/queue/queue-error.ts";
import { laneOf, nameOfArn, nameOfUrl } from "../../core/queue/queue-name.ts";
import { checkTags } from "../../core/queue/queue-tags.ts";
import { ReceiptHandles } from "../../core/queue/receipt-handle.ts";
import { lambdaRecord } from "./lambda-record.ts";
import type { MoveTask } from "./move-task.ts";
import { type MoveRequest, MoveTasks } from "./move-tasks.ts";
import { QueueConfig } from "./queue-config.ts";
import { isStaleLease, type Prepared } from "./queue-message.ts";
import { QueueMessages } from "./queue-messages.ts";
import type {
	LeaseRequest,
	NewMessage,
	Queue,
	QueueMessage,
	QueuesDeps,
	ReceiveOptions,
	SentMessage,
} from "./types.ts";
import { WaitingPolls } from "./waiting-polls.ts";

/** "You can purge a queue once every 60 seconds." */
const purgeMs = 60_000;

/**
 * Queues as SQS has them. Errors have AWS's names as their reason: NOT_FOUND (QueueDoesNotExist), INVALID (InvalidParameterValue,
 * …), THROTTLED (OverLimit, RequestThrottled); and those of the message log.
 */
export class Queues implements AsyncDisposable {
	readonly #deps: QueuesDeps;
	readonly #config: QueueConfig;
	readonly #polls: WaitingPolls;
	readonly #messages: QueueMessages;
	readonly #tasks: MoveTasks;
	readonly #purgedAt = new Map<string, number>();

	private constructor(deps: QueuesDeps, config: QueueConfig, tasks: MoveTasks, handles: ReceiptHandles) {
		this.#deps = deps;
		this.#config = config;
		this.#tasks = tasks;
		this.#polls = new WaitingPolls(deps.log, deps.clock);
		this.#messages = new QueueMessages(deps, config, this.#polls, handles);
	}

	/** Lanes are as the queues say when it resolves; redrives that were under way go on. */
	static async open(deps: QueuesDeps): Promise<Queues> {
		const config = await QueueConfig.open(deps);
		return new Queues(deps, config, await MoveTasks.open(deps, config), await openHandles(deps));
	}

	/** When shutdown begins: every long poll answers. */
	stopWaiting(): void {
		this.#polls.stop();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.stopWaiting();
		await this.#tasks[Symbol.asyncDispose]();
	}

	get(name: string): Queue {
		return this.#config.get(name);
	}

	find(name: string): Queue | undefined {
		return this.#config.find(name);
	}

	/** By name. */
	list(prefix?: string): Queue[] {
		return this.#config.list(prefix);
	}

	/** Queues that name it in their redrive policy, by name. */
	deadLetterSources(name: string): Queue[] {
		this.#config.get(name);
		return this.#config.sourcesOf(name);
	}

	/** INVALID for what is no queue's ARN in this account and region; the queue need not be there. */
	nameOf(arn: string): string {
		const name = nameOfArn(arn, this.#deps);
		if (name === undefined)
			throw new SlipwayError("INVALID", `'${arn.slice(0, 200)}' is not the ARN of a queue in this account and region`);
		return name;
	}

	/** `host`: what the client calls this daemon, and whether it does so over TLS. */
	url(name: string, host?: string, isTls = this.#deps.origin.startsWith("https:")): string {
		const { origin, accountId } = this.#deps;
		const base = host === undefined || host === "" ? origin : `${isTls ? "https" : "http"}://${host}`;
		return `${base}/${accountId}/${name}`;
	}

	/** The name in a queue URL, whatever its host. Throws InvalidAddress and QueueDoesNotExist. */
	nameOfUrl(url: string): string {
		return nameOfUrl(url, this.#deps.accountId);
	}

	create(
		name: string,
		attributes: Readonly<Record<string, string>> = {},
		tags: Readonly<Record<string, string>> = {},
	): Promise<Queue> {
		return this.#config.create(name, attributes, tags);
	}

	/** With its messages. A queue of the same name can be made at once: SQS's 60 seconds have no reason here. */
	async delete(name: string): Promise<void> {
		const { arn } = this.#config.get(name);
		await this.#config.delete(name);
		await this.#tasks.forget(arn);
		this.#purgedAt.delete(name);
	}

	setAttributes(name: string, attributes: Readonly<Record<string, string>>): Promise<void> {
		return this.#config.setAttributes(name, attributes);
	}

	tag(name: string, tags: Readonly<Record<string, string>>): Promise<void> {
		return this.#config.setTags(name, (known) => checkTags(known, tags));
	}

	untag(name: string, keys: readonly string[]): Promise<void> {
		return this.#config.setTags(name, (known) =>
			Object.fromEntries(Object.entries(known).filter(([key]) => !keys.includes(key))),
		);
	}

	addPermission(name: string, permission: Permission): Promise<void> {
		return this.#config.setPolicy(name, ({ arn, settings }) => withPermission(settings.policy, permission, arn));
	}

	removePermission(name: string, label: string): Promise<void> {
		return this.#config.setPolicy(name, ({ settings }) => withoutPermission(settings.policy, label));
	}

	counts(name: string): Promise<LaneCounts> {
		return this.#messages.counts(name);
	}

	async send(name: string, message: NewMessage): Promise<SentMessage> {
		const sent = await this.#messages.send(name, [this.#messages.prepare(name, message)]);
		return sent[0]!;
	}

	/** Checks a message without sending it; for batches, where each may be refused alone. */
	prepare(name: string, message: NewMessage): Prepared {
		return this.#messages.prepare(name, message);
	}

	/** In one commit. */
	sendPrepared(name: string, prepared: readonly Prepared[]): Promise<SentMessage[]> {
		return this.#messages.send(name, prepared);
	}

	receive(name: string, options: ReceiveOptions = {}): Promise<QueueMessage[]> {
		return this.#messages.receive(name, options);
	}

	deleteMessage(name: string, receiptHandle: string): Promise<void> {
		return this.#messages.delete(name, receiptHandle);
	}

	/** Seconds from now, 0 to 43,200 and 12 hours from the receive in all. */
	changeVisibility(name: string, receiptHandle: string, seconds: number): Promise<void> {
		return this.#messages.changeVisibility(name, receiptHandle, seconds);
	}

	/** In the order of sending, without receiving. */
	peek(name: string, options: ScanOptions): Promise<QueueMessage[]> {
		return this.#messages.peek(name, options);
	}

	/** How many there were. `force`: whenever the last purge was. */
	async purge(name: string, { force = false } = {}): Promise<number> {
		this.#config.get(name);
		const nowMs = this.#deps.clock.monotonic();
		const lastMs = this.#purgedAt.get(name);
		if (!force && lastMs !== undefined && nowMs - lastMs < purgeMs)
			throw queueError("PurgeQueueInProgress", `Only one PurgeQueue operation on ${name} is allowed every 60 seconds.`);
		this.#purgedAt.set(name, nowMs);
		return this.#deps.log.purge(laneOf(name));
	}

	startMoveTask(request: MoveRequest): Promise<MoveTask> {
		return this.#tasks.start(request);
	}

	/** Newest first. NOT_FOUND for a source that is no queue. */
	moveTasks(sourceArn: string): MoveTask[] {
		const name = nameOfArn(sourceArn, this.#deps);
		if (name === undefined || !this.#config.find(name))
			throw queueError(
				"ResourceNotFoundException",
				"The resource that you specified for the SourceArn parameter doesn't exist.",
			);
		return this.#tasks.list(sourceArn);
	}

	cancelMoveTask(handle: string): Promise<MoveTask> {
		return this.#tasks.cancel(handle);
	}

	/** For pollers: as `receive` does, with larger batches; hidden for the queue's visibility timeout. */
	async lease(
		name: string,
		{ max, maxBytes, atLeastS = 0, waitMs = 0, signal }: LeaseRequest,
	): Promise<QueueMessage[]> {
		const queue = this.#config.get(name);
		const { log } = this.#deps;
		const visibility = Math.max(queue.settings.visibilityTimeoutS, atLeastS) * 1000;
		const lane = laneOf(name);
		const lease = () => log.lease(lane, { max, maxBytes, visibility });
		const leased = await this.#polls.poll(lane, { waitMs, signal }, lease);
		const messages = this.#messages.messages(queue, leased);
		if (!signal?.aborted) return messages;
		await this.release(messages, 0, { counts: false });
		return [];
	}

	/** Deletes what `lease` gave; a message whose lease is another's by now is left alone. */
	settleDone(messages: readonly QueueMessage[]): Promise<void> {
		return this.#settle(messages, { outcome: "done" });
	}

	/** Others may have them after the delay. `counts: false`: it was no receive. */
	release(messages: readonly QueueMessage[], delayMs: number, { counts = true } = {}): Promise<void> {
		return this.#settle(messages, { outcome: "retry", delayMs, counts });
	}

	async #settle(messages: readonly QueueMessage[], outcome: SettleOutcome): Promise<void> {
		const settle = messages.map(({ token }) => ({ change: "settle", token, ...outcome }) as const);
		if (settle.length === 0) return;
		try {
			await this.#deps.log.commit(settle);
		} catch (error) {
			if (!isStaleLease(error)) throw error;
			// One that is stale undoes all.
			const parts = this.#apart(messages, outcome);
			if (parts.length > 1) await Promise.all(parts.map((part) => this.#settle(part, outcome)));
		}
	}

	/**
	 * What has to go together: in a FIFO queue a group, where one that is another's by now will come again. If those behind it were deleted,
	 * it would come after them; so they come again too.
	 */
	#apart(messages: readonly QueueMessage[], { outcome }: SettleOutcome): (readonly QueueMessage[])[] {
		const isOrdered = outcome === "done" && messages.some(({ queue }) => this.#config.find(queue)?.fifo);
		if (isOrdered) return [...Map.groupBy(messages, ({ groupId }) => groupId).values()];
		// By halves: there may be thousands, and one that is stale.
		const half = Math.ceil(messages.length / 2);
		return messages.length === 1 ? [messages] : [messages.slice(0, half), messages.slice(half)];
	}

	/** lambda-contract 6.1: an element of a function's `Records`. */
	lambdaRecord(message: QueueMessage): Record<string, unknown> {
		return lambdaRecord(message, this.#config.get(message.queue).arn, this.#deps.region);
	}
}

const keyKind = "sqs-receipt-key";
/** As many as SHA-256 has. */
const keyBytes = 32;

/** Made once: handles that were given out before a restart are good after it. */
async function openHandles({ store, ids }: QueuesDeps): Promise<ReceiptHandles> {
	const [stored] = await store.list(keyKind);
	const document = (stored?.document as { key: string } | undefined) ?? { key: ids.hex(keyBytes) };
	if (!stored) await store.commit([{ change: "put", kind: keyKind, namespace: "", name: "current", document }]);
	return new ReceiptHandles(document.key);
}
