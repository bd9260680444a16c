/** A message as functions get it (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html). */
import { attributesMd5, md5 } from "../../core/queue/message-attributes.ts";
import type { QueueMessage } from "./types.ts";

/** System attributes by their published names; timestamps and counts as text. */
export function systemAttributes(message: QueueMessage): Record<string, string> {
	const { traceHeader, groupId, deduplicationId, sequenceNumber, sourceArn, firstReceivedMs } = message;
	return {
		ApproximateReceiveCount: String(message.receiveCount),
		SentTimestamp: String(message.sentMs),
		SenderId: message.senderId,
		...(firstReceivedMs !== undefined && { ApproximateFirstReceiveTimestamp: String(firstReceivedMs) }),
		...(sequenceNumber !== undefined && { SequenceNumber: sequenceNumber }),
		...(groupId !== undefined && { MessageGroupId: groupId }),
		...(deduplicationId !== undefined && { MessageDeduplicationId: deduplicationId }),
		...(traceHeader !== undefined && { AWSTraceHeader: traceHeader }),
		...(sourceArn !== undefined && { DeadLetterQueueSourceArn: sourceArn }),
	};
}

export function lambdaRecord(message: QueueMessage, arn: string, region: string): Record<string, unknown> {
	const attributes = Object.entries(message.attributes).map(([name, { dataType, stringValue, binaryValue }]) => {
		const value =
			binaryValue === undefined ? { stringValue } : { binaryValue: Buffer.from(binaryValue).toString("base64") };
		return [name, { ...value, stringListValues: [], binaryListValues: [], dataType }] as const;
	});
	const md5OfMessageAttributes = attributesMd5(message.attributes);
	return {
		messageId: message.id,
		receiptHandle: message.receiptHandle,
		body: message.body,
		attributes: systemAttributes(message),
		messageAttributes: Object.fromEntries(attributes),
		...(md5OfMessageAttributes !== undefined && { md5OfMessageAttributes }),
		md5OfBody: md5(message.body),
		eventSource: "aws:sqs",
		eventSourceARN: arn,
		awsRegion: region,
	};
}
