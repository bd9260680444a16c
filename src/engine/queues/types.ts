import type { Clock } from "../../base/clock.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { MessageLog, StoredMessage } from "../../core/message-log/message-log.ts";
import type { MessageAttributes } from "../../core/queue/message-attributes.ts";
import type { QueueSettings } from "../../core/queue/queue-attributes.ts";
import type { ResourceStore } from "../../core/resource/resource-store.ts";

export interface QueuesDeps {
	store: ResourceStore;
	log: MessageLog;
	clock: Clock;
	ids: Ids;
	logger: Log;
	region: string;
	/** 12 digits. */
	accountId: string;
	/** "http://HOST:PORT": what queue URLs begin with when no client's own name for the daemon is known. */
	origin: string;
}

export interface Queue {
	name: string;
	arn: string;
	fifo: boolean;
	settings: QueueSettings;
	tags: Readonly<Record<string, string>>;
	/** Epoch milliseconds. */
	createdMs: number;
	modifiedMs: number;
}

export interface NewMessage {
	body: string;
	/** 0 to 900; the queue's own where it is left out. Not for FIFO queues. */
	delaySeconds?: number | undefined;
	attributes?: MessageAttributes | undefined;
	/** X-Ray's header: the system attribute AWSTraceHeader. `isAttribute`: the sender has set it itself, so that it counts in MD5s. */
	traceHeader?: { value: string; isAttribute: boolean } | undefined;
	groupId?: string | undefined;
	deduplicationId?: string | undefined;
	/** The sender's principal; the account where it is left out. */
	senderId?: string | undefined;
}

export interface SentMessage {
	messageId: string;
	md5OfBody: string;
	md5OfAttributes: string | undefined;
	md5OfSystemAttributes: string | undefined;
	/** 20 digits, of FIFO queues. */
	sequenceNumber: string | undefined;
}

export interface QueueMessage {
	/** The queue's name. */
	queue: string;
	id: string;
	correlation: string | undefined;
	body: string;
	attributes: MessageAttributes;
	senderId: string;
	traceHeader: string | undefined;
	groupId: string | undefined;
	deduplicationId: string | undefined;
	/** 20 digits, of FIFO queues. */
	sequenceNumber: string | undefined;
	/** ARN of the queue whose dead letter it is. */
	sourceArn: string | undefined;
	/** Epoch milliseconds. */
	sentMs: number;
	firstReceivedMs: number | undefined;
	receiveCount: number;
	state: StoredMessage["state"];
	/** Epoch milliseconds: when it becomes visible, where that is known. */
	dueMs: number | undefined;
	/** The log's. */
	sequence: number;
	/** The log's lease and the handle that names it; "" of a message that was only looked at. */
	token: string;
	receiptHandle: string;
}

export interface ReceiveOptions {
	/** 1 to 10; 1 where it is left out. */
	max?: number | undefined;
	/** 0 to 20; the queue's own where it is left out. */
	waitSeconds?: number | undefined;
	/** 0 to 43,200 seconds; the queue's own where it is left out. */
	visibilityTimeout?: number | undefined;
	/** ReceiveRequestAttemptId, of FIFO queues. */
	attemptId?: string | undefined;
	/** The client went away: what was just leased for it is given back. */
	signal?: AbortSignal | undefined;
}

export interface LeaseRequest {
	/** 1 to 10,000. */
	max: number;
	/** Bytes of bodies. */
	maxBytes?: number | undefined;
	/** Seconds for which they are hidden even where the queue says fewer. */
	atLeastS?: number | undefined;
	/** Milliseconds until there is a first one. */
	waitMs?: number | undefined;
	signal?: AbortSignal | undefined;
}
