/** Messages from what a sender gives to what the log keeps, and back. */
import { hash } from "node:crypto";
import { SlipwayError } from "../../base/error.ts";
import { type Ids, timeOrderedUuid } from "../../base/ids.ts";
import type { Append, LeasedMessage, StoredMessage } from "../../core/message-log/message-log.ts";
import {
	attributesMd5,
	attributesSize,
	checkAttributes,
	isSendableText,
	md5,
} from "../../core/queue/message-attributes.ts";
import { maxDelayS } from "../../core/queue/queue-attributes.ts";
import { invalidParameter, invalidValue, missingParameter, queueError } from "../../core/queue/queue-error.ts";
import { laneOf, nameOfLane } from "../../core/queue/queue-name.ts";
import type { ReceiptHandles } from "../../core/queue/receipt-handle.ts";
import { fromStored, toStored } from "../../core/queue/stored-message.ts";
import type { NewMessage, Queue, QueueMessage, SentMessage } from "./types.ts";

/** "The deduplication interval": 5 minutes. */
export const deduplicationMs = 300_000;
/** Of MessageGroupId and MessageDeduplicationId: 1 to 128 alphanumeric characters and punctuation. */
const idForm = /^[A-Za-z0-9!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~]{1,128}$/;
const sequenceDigits = 20;

/** A message that may be sent. */
export interface Prepared {
	append: Append;
	/** Bytes that count for limits. */
	size: number;
	answer: Omit<SentMessage, "sequenceNumber">;
}

/** Checks a message as SendMessage does. `ids` and `nowMs` make its id. */
export function prepare(queue: Queue, message: NewMessage, accountId: string, nowMs: number, ids: Ids): Prepared {
	const { settings, fifo } = queue;
	const { attributes = {}, traceHeader } = message;
	if (message.body === "") throw missingParameter("MessageBody");
	if (!isSendableText(message.body))
		throw queueError(
			"InvalidMessageContents",
			"Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
		);
	checkAttributes(attributes);
	const delayMs = delayOf(queue, message) * 1000;
	const ordering = fifo ? fifoParts(queue, message) : standardParts(message);
	const body = Buffer.from(message.body);
	const attributesBytes = attributesSize(attributes);
	const size = body.length + attributesBytes;
	if (size > settings.maximumMessageSize)
		throw invalidParameter(
			`One or more parameters are invalid. Reason: Message must be shorter than ${settings.maximumMessageSize} bytes.`,
		);
	const senderId = message.senderId ?? accountId;
	const { groupId, deduplicationId } = ordering;
	const parts = { body, attributes, senderId, traceHeader: traceHeader?.value, groupId, deduplicationId };
	const id = timeOrderedUuid(nowMs, ids);
	const append: Append = { change: "append", lane: laneOf(queue.name), id, ...toStored(parts, attributesBytes) };
	if (groupId !== undefined) append.group = groupId;
	if (ordering.key !== undefined) append.deduplication = { key: ordering.key, windowMs: deduplicationMs };
	if (delayMs > 0) append.delayMs = delayMs;
	const systemMd5 = traceHeader?.isAttribute
		? attributesMd5({ AWSTraceHeader: { dataType: "String", stringValue: traceHeader.value } })
		: undefined;
	const answer = {
		messageId: id,
		md5OfBody: md5(body),
		md5OfAttributes: attributesMd5(attributes),
		md5OfSystemAttributes: systemMd5,
	};
	return { append, size, answer };
}

interface Ordering {
	groupId: string | undefined;
	deduplicationId: string | undefined;
	key?: string;
}

function delayOf({ fifo, settings }: Queue, { delaySeconds }: NewMessage): number {
	if (delaySeconds === undefined) return settings.delayS;
	if (!Number.isSafeInteger(delaySeconds) || delaySeconds < 0 || delaySeconds > maxDelayS)
		throw invalidValue(delaySeconds, "DelaySeconds", `DelaySeconds must be >= 0 and <= ${maxDelayS}.`);
	if (fifo && delaySeconds > 0)
		throw invalidValue(
			delaySeconds,
			"DelaySeconds",
			"The request include parameter that is not valid for this queue type.",
		);
	return fifo ? settings.delayS : delaySeconds;
}

/** A group on a standard queue is for fair queues: kept, and given to receivers. */
function standardParts({ groupId, deduplicationId }: NewMessage): Ordering {
	if (deduplicationId !== undefined)
		throw invalidValue(
			deduplicationId,
			"MessageDeduplicationId",
			"The request includes a parameter that is not valid for this queue type.",
		);
	if (groupId !== undefined) checkId("MessageGroupId", groupId);
	return { groupId, deduplicationId: undefined };
}

function fifoParts({ settings }: Queue, { groupId, deduplicationId, body }: NewMessage): Ordering {
	if (groupId === undefined || groupId === "") throw missingParameter("MessageGroupId");
	checkId("MessageGroupId", groupId);
	if (deduplicationId !== undefined) checkId("MessageDeduplicationId", deduplicationId);
	else if (!settings.contentBasedDeduplication)
		throw invalidParameter(
			"The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
		);
	const id = deduplicationId ?? hash("sha256", body, "hex");
	// Ids have no line feed, so that two pairs never make one key.
	const key = settings.deduplicationScope === "messageGroup" ? `${groupId}\n${id}` : id;
	return { groupId, deduplicationId: id, key };
}

function checkId(parameter: string, value: string): void {
	if (!idForm.test(value))
		throw invalidValue(
			value,
			parameter,
			`${parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length.`,
		);
}

export function sequenceNumber(sequence: number): string {
	return String(sequence).padStart(sequenceDigits, "0");
}

/** `sourceArn`: of the queue whose dead letter it is. */
export function queueMessage(
	{ name, fifo }: Queue,
	stored: StoredMessage | LeasedMessage,
	nowMs: number,
	sourceArn: string | undefined,
	handles: ReceiptHandles,
): QueueMessage {
	const parts = fromStored(stored);
	const token = "token" in stored ? stored.token : "";
	return {
		queue: name,
		id: stored.id,
		correlation: stored.correlation,
		body: utf8(parts.body),
		attributes: parts.attributes,
		senderId: parts.senderId,
		traceHeader: parts.traceHeader,
		groupId: parts.groupId,
		deduplicationId: parts.deduplicationId,
		sequenceNumber: fifo ? sequenceNumber(stored.sequence) : undefined,
		sourceArn,
		sentMs: stored.sentMs,
		firstReceivedMs: stored.firstLeasedMs,
		receiveCount: stored.attempts,
		state: stored.state,
		dueMs: stored.dueMs,
		sequence: stored.sequence,
		token,
		receiptHandle: token === "" ? "" : handles.write({ queue: name, token, messageId: stored.id, receivedMs: nowMs }),
	};
}

function utf8(bytes: Uint8Array): string {
	return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
}

/** The queue whose lane a message was moved from, if this is where its dead letters go. */
export function deadLetterSource(
	{ arn }: Queue,
	{ origin }: Pick<StoredMessage, "origin">,
	find: (name: string) => Queue | undefined,
): Queue | undefined {
	const from = origin === undefined ? undefined : nameOfLane(origin);
	const source = from === undefined ? undefined : find(from);
	return source?.settings.redrivePolicy?.deadLetterTargetArn === arn ? source : undefined;
}

/** The lease is over, or its message gone. */
export function isStaleLease(error: unknown): error is SlipwayError {
	return error instanceof SlipwayError && error.code === "PRECONDITION";
}
