/** Names and texts of the SQS API, between the engine's and the SDK's. */
import type { Message, MessageAttributeValue, MessageSystemAttributeValue } from "@aws-sdk/client-sqs";
import { isSlipwayError, type SlipwayError } from "../../../../base/error.ts";
import {
	attributesMd5,
	chosenAttributes,
	type MessageAttributes,
	md5,
} from "../../../../core/queue/message-attributes.ts";
import { unknownAttribute } from "../../../../core/queue/queue-attributes.ts";
import { invalidParameter, missingParameter, queueErrorReasons } from "../../../../core/queue/queue-error.ts";
import { systemAttributes } from "../../../../engine/queues/lambda-record.ts";
import type { NewMessage, QueueMessage } from "../../../../engine/queues/types.ts";
import { validationError } from "../../errors.ts";
import type { Call, WireError } from "../../service.ts";

/** Statuses of published errors that are not 400 (`smithy.api#httpError`). */
const statuses: Readonly<Record<string, number>> = {
	InvalidAddress: 404,
	ReceiptHandleIsInvalid: 404,
	ResourceNotFoundException: 404,
	OverLimit: 403,
	PurgeQueueInProgress: 403,
	RequestThrottled: 403,
};

/** The engine's reasons are the published names; those of the log below it are not. */
export function wireErrorOf({ reason }: SlipwayError): WireError | undefined {
	const name = queueErrorReasons.find((one) => one === reason);
	return name && { name, status: statuses[name] ?? 400 };
}

/** Of one entry of a batch. Throws what is not the sender's. */
export function failedEntry(id: string, error: unknown) {
	const wire = isSlipwayError(error) ? wireErrorOf(error) : undefined;
	if (!wire || !isSlipwayError(error)) throw error;
	return { Id: id, SenderFault: true, Code: wire.name, Message: error.message };
}

interface Sendable {
	MessageBody?: string | undefined;
	DelaySeconds?: number | undefined;
	MessageAttributes?: Record<string, MessageAttributeValue> | undefined;
	MessageSystemAttributes?: Partial<Record<string, MessageSystemAttributeValue>> | undefined;
	MessageDeduplicationId?: string | undefined;
	MessageGroupId?: string | undefined;
}

export function newMessage(input: Sendable, call: Call): NewMessage {
	if (input.MessageBody === undefined) throw missingParameter("MessageBody");
	return {
		body: input.MessageBody,
		delaySeconds: input.DelaySeconds,
		attributes: input.MessageAttributes && readAttributes(input.MessageAttributes),
		traceHeader: traceHeader(input.MessageSystemAttributes, call),
		groupId: input.MessageGroupId,
		deduplicationId: input.MessageDeduplicationId,
		senderId: call.principal.userId,
	};
}

export function readAttributes(attributes: Record<string, MessageAttributeValue>): MessageAttributes {
	const entries = Object.entries(attributes).map(([name, value]) => {
		const { DataType, StringValue, BinaryValue, StringListValues, BinaryListValues } = value;
		if ((StringListValues?.length ?? 0) > 0 || (BinaryListValues?.length ?? 0) > 0)
			throw invalidParameter("Message attribute list values in SendMessage operation are not supported.");
		const attribute = {
			dataType: DataType ?? "",
			...(StringValue !== undefined && { stringValue: StringValue }),
			...(BinaryValue !== undefined && { binaryValue: BinaryValue }),
		};
		return [name, attribute] as const;
	});
	return Object.fromEntries(entries);
}

/** Bytes: X-Ray's header has some 150. It does not count for the size of a message. */
const maxTraceLength = 1024;

/**
 * The sender's own, or that of its request when it says through which functions the event has come: so that hops are counted
 * through queues as well (core/invocation/lineage.ts).
 */
function traceHeader(attributes: Sendable["MessageSystemAttributes"], call: Call): NewMessage["traceHeader"] {
	for (const [name, value] of Object.entries(attributes ?? {})) {
		if (name !== "AWSTraceHeader")
			throw invalidParameter(`Message system attribute name '${name.slice(0, 100)}' is invalid.`);
		const text = value?.StringValue;
		if (value?.DataType !== "String" || text === undefined || text === "" || text.length > maxTraceLength)
			throw invalidParameter(
				"The message system attribute AWSTraceHeader must be a valid X-Ray trace header of type String.",
			);
		return { value: text, isAttribute: true };
	}
	const own = call.traceId();
	return own.includes("Lineage=") ? { value: own, isAttribute: false } : undefined;
}

const systemAttributeNames = [
	"All",
	"SenderId",
	"SentTimestamp",
	"ApproximateReceiveCount",
	"ApproximateFirstReceiveTimestamp",
	"SequenceNumber",
	"MessageDeduplicationId",
	"MessageGroupId",
	"AWSTraceHeader",
	"DeadLetterQueueSourceArn",
];

export function checkSystemAttributeNames(names: readonly string[]): void {
	const unknown = names.find((name) => !systemAttributeNames.includes(name));
	if (unknown !== undefined) throw unknownAttribute(unknown);
}

/** With the attributes that a receiver asked for. */
export function wireMessage(message: QueueMessage, systemNames: readonly string[], names: readonly string[]): Message {
	const result: Message = {
		MessageId: message.id,
		ReceiptHandle: message.receiptHandle,
		MD5OfBody: md5(message.body),
		Body: message.body,
	};
	if (systemNames.length > 0) {
		const all = systemAttributes(message);
		const wanted = systemNames.includes("All")
			? all
			: Object.fromEntries(Object.entries(all).filter(([name]) => systemNames.includes(name)));
		if (Object.keys(wanted).length > 0) result.Attributes = wanted;
	}
	const chosen = names.length === 0 ? {} : chosenAttributes(message.attributes, names);
	const digest = attributesMd5(chosen);
	if (digest === undefined) return result;
	result.MD5OfMessageAttributes = digest;
	result.MessageAttributes = Object.fromEntries(
		Object.entries(chosen).map(([name, { dataType, stringValue, binaryValue }]) => [
			name,
			{
				DataType: dataType,
				...(stringValue !== undefined && { StringValue: stringValue }),
				...(binaryValue !== undefined && { BinaryValue: binaryValue }),
			},
		]),
	);
	return result;
}

/** Required members that are not there: the older services name one, in their own words. */
export function missingMembers(names: readonly string[]): Error {
	return names[0] === undefined ? validationError([]) : missingParameter(names[0]);
}
