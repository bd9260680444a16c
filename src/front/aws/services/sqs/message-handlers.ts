import type * as sdk from "@aws-sdk/client-sqs";
import { maxMessageBytes } from "../../../../core/queue/queue-attributes.ts";
import { invalidParameter, missingParameter, queueError } from "../../../../core/queue/queue-error.ts";
import type { Prepared } from "../../../../engine/queues/queue-message.ts";
import type { SentMessage } from "../../../../engine/queues/types.ts";
import type { Call } from "../../service.ts";
import { checkEntries, eachEntry } from "./batch.ts";
import type { SqsDeps, SqsHandlers } from "./ports.ts";
import { checkSystemAttributeNames, failedEntry, newMessage, wireMessage } from "./wire.ts";

export function messageHandlers(deps: SqsDeps): SqsHandlers {
	const { queues } = deps;
	return {
		async SendMessage(input, call) {
			const sent = await queues.send(queues.nameOfUrl(input.QueueUrl), newMessage(input, call));
			return sentWire(sent);
		},
		SendMessageBatch: (input, call) => sendBatch(deps, input, call),
		ReceiveMessage: (input, call) => receive(deps, input, call),
		async DeleteMessage(input) {
			await queues.deleteMessage(queues.nameOfUrl(input.QueueUrl), input.ReceiptHandle);
			return {};
		},
		async DeleteMessageBatch(input) {
			const name = queues.nameOfUrl(input.QueueUrl);
			queues.get(name);
			checkEntries(input.Entries, "DeleteMessageBatchRequestEntry");
			return eachEntry(input.Entries, (entry) => queues.deleteMessage(name, handleOf(entry)));
		},
		async ChangeMessageVisibility(input) {
			await queues.changeVisibility(queues.nameOfUrl(input.QueueUrl), input.ReceiptHandle, input.VisibilityTimeout);
			return {};
		},
		async ChangeMessageVisibilityBatch(input) {
			const name = queues.nameOfUrl(input.QueueUrl);
			queues.get(name);
			checkEntries(input.Entries, "ChangeMessageVisibilityBatchRequestEntry");
			return eachEntry(input.Entries, async (entry) => {
				if (entry.VisibilityTimeout === undefined) throw missingParameter("VisibilityTimeout");
				await queues.changeVisibility(name, handleOf(entry), entry.VisibilityTimeout);
			});
		},
	};
}

function handleOf({ ReceiptHandle: handle }: { ReceiptHandle?: string | undefined }): string {
	if (handle === undefined || handle === "") throw missingParameter("ReceiptHandle");
	return handle;
}

export function sentWire(sent: SentMessage) {
	return {
		MessageId: sent.messageId,
		MD5OfMessageBody: sent.md5OfBody,
		MD5OfMessageAttributes: sent.md5OfAttributes,
		MD5OfMessageSystemAttributes: sent.md5OfSystemAttributes,
		SequenceNumber: sent.sequenceNumber,
	};
}

interface ReceiveInput {
	QueueUrl: string;
	AttributeNames?: readonly string[] | undefined;
	MessageSystemAttributeNames?: readonly string[] | undefined;
	MessageAttributeNames?: readonly string[] | undefined;
	MaxNumberOfMessages?: number | undefined;
	VisibilityTimeout?: number | undefined;
	WaitTimeSeconds?: number | undefined;
	ReceiveRequestAttemptId?: string | undefined;
}

export async function receive({ queues }: SqsDeps, input: ReceiveInput, call: Call): Promise<sdk.ReceiveMessageResult> {
	const name = queues.nameOfUrl(input.QueueUrl);
	const { settings } = queues.get(name);
	const systemNames = [...(input.AttributeNames ?? []), ...(input.MessageSystemAttributeNames ?? [])];
	checkSystemAttributeNames(systemNames);
	const waitSeconds = input.WaitTimeSeconds ?? settings.receiveWaitS;
	const messages = await queues.receive(name, {
		max: input.MaxNumberOfMessages,
		visibilityTimeout: input.VisibilityTimeout,
		waitSeconds,
		attemptId: input.ReceiveRequestAttemptId,
		...(waitSeconds > 0 && { signal: call.gone() }),
	});
	if (messages.length === 0) return {};
	return { Messages: messages.map((message) => wireMessage(message, systemNames, input.MessageAttributeNames ?? [])) };
}

interface BatchInput {
	QueueUrl: string;
	Entries: readonly sdk.SendMessageBatchRequestEntry[];
}

/** Those that may be sent are, in one commit and in their order. */
async function sendBatch({ queues }: SqsDeps, { QueueUrl: url, Entries: entries }: BatchInput, call: Call) {
	const name = queues.nameOfUrl(url);
	queues.get(name);
	checkEntries(entries, "SendMessageBatchRequestEntry");
	checkLength(entries);
	const accepted: { id: string; prepared: Prepared }[] = [];
	const failed: ReturnType<typeof failedEntry>[] = [];
	for (const entry of entries)
		try {
			accepted.push({ id: entry.Id!, prepared: queues.prepare(name, newMessage(entry, call)) });
		} catch (error) {
			failed.push(failedEntry(entry.Id!, error));
		}
	if (accepted.reduce((sum, { prepared }) => sum + prepared.size, 0) > maxMessageBytes) throw tooLong(accepted);
	const sent =
		accepted.length === 0
			? []
			: await queues.sendPrepared(
					name,
					accepted.map(({ prepared }) => prepared),
				);
	return {
		Successful: sent.map((one, i) => ({ Id: accepted[i]!.id, ...sentWire(one) })),
		Failed: failed.length > 0 ? failed : undefined,
	};
}

/** Bodies that are too long each for itself make the batch too long as well. */
function checkLength(entries: readonly sdk.SendMessageBatchRequestEntry[]): void {
	const sizes = entries.map(({ MessageBody }) => ({ prepared: { size: Buffer.byteLength(MessageBody ?? "") } }));
	if (sizes.reduce((sum, { prepared }) => sum + prepared.size, 0) > maxMessageBytes) throw tooLong(sizes);
}

function tooLong(entries: readonly { prepared: { size: number } }[]) {
	const size = entries.reduce((sum, { prepared }) => sum + prepared.size, 0);
	return queueError(
		"BatchRequestTooLong",
		`Batch requests cannot be longer than ${maxMessageBytes} bytes. You have sent ${size} bytes.`,
	);
}

/** The service's words for a body that can't hold a message. */
export function messageTooLong() {
	return invalidParameter(
		`One or more parameters are invalid. Reason: Message must be shorter than ${maxMessageBytes} bytes.`,
	);
}
