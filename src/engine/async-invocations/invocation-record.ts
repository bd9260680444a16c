/** What destinations and dead-letter queues get of an asynchronous event (lambda-contract 5; "Capturing records of Lambda asynchronous invocations"). */
import type { Delivery } from "../../core/delivery/target.ts";
import type { AttemptNote, Condition } from "./attempt.ts";

export interface EndedEvent {
	requestId: string;
	/** Unqualified. */
	functionArn: string;
	qualifier: string | undefined;
	payload: Uint8Array;
	condition: "Success" | Condition;
	/** Attempts that the function answered. */
	invokeCount: number;
	answer: { executedVersion: string; functionError: string | undefined; payload: Uint8Array | undefined } | undefined;
	nowMs: number;
}

/** Bytes of a record: SQS and Lambda take 1 MiB. A bus puts its own fields around it. */
const maxRecordBytes = 1_048_576;
const maxBusRecordBytes = 256 * 1024 - 4096;

/**
 * The record as JSON text. Payloads are embedded byte for byte: parsed and written again, large numbers would change. One that is too
 * large loses the response's payload, then the request's, as AWS drops them.
 */
export function invocationRecord(event: EndedEvent, targetArn: string): { body: Buffer; isCut: boolean } {
	const most = isBus(targetArn) ? maxBusRecordBytes : maxRecordBytes;
	const request = asJson(event.payload);
	const response = event.answer?.payload && asJson(event.answer.payload);
	const whole = recordText(event, request, response);
	if (whole.length <= most) return { body: whole, isCut: false };
	const withoutResponse = recordText(event, request, undefined);
	if (withoutResponse.length <= most) return { body: withoutResponse, isCut: true };
	return { body: recordText(event, undefined, undefined), isCut: true };
}

function recordText(event: EndedEvent, request: string | undefined, response: string | undefined): Buffer {
	const { answer } = event;
	const head = {
		version: "1.0",
		timestamp: new Date(event.nowMs).toISOString(),
		requestContext: {
			requestId: event.requestId,
			functionArn: qualified(event),
			condition: event.condition,
			approximateInvokeCount: event.invokeCount,
		},
	};
	const context = answer && {
		statusCode: 200,
		executedVersion: answer.executedVersion,
		...(answer.functionError !== undefined && { functionError: answer.functionError }),
	};
	const parts = [
		JSON.stringify(head).slice(0, -1),
		...(request === undefined ? [] : [`"requestPayload":${request}`]),
		...(context ? [`"responseContext":${JSON.stringify(context)}`] : []),
		...(response === undefined ? [] : [`"responsePayload":${response}`]),
	];
	return Buffer.from(`${parts.join(",")}}`);
}

function qualified({ functionArn, qualifier = "$LATEST" }: EndedEvent): string {
	return `${functionArn}:${qualifier}`;
}

/** The text itself when it is JSON; else the text as a JSON string, "" for no bytes as null. */
function asJson(bytes: Uint8Array): string {
	const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
	try {
		JSON.parse(text);
		return text;
	} catch {
		return text === "" ? "null" : JSON.stringify(text);
	}
}

function isBus(arn: string): boolean {
	return arn.split(":", 3)[2] === "events";
}

type Parts = Pick<Delivery, "body" | "event" | "attributes">;

/** For an on-success or on-failure destination. */
export function destinationDelivery(event: EndedEvent, targetArn: string): Parts & { isCut: boolean } {
	const { body, isCut } = invocationRecord(event, targetArn);
	const result = event.condition === "Success" ? "Success" : "Failure";
	return {
		body,
		isCut,
		event: {
			source: "lambda",
			detailType: `Lambda Function Invocation Result - ${result}`,
			resources: [targetArn, qualified(event)],
			time: event.nowMs,
		},
	};
}

/** Bytes of the message that a dead-letter queue is told ("the first 1 KB of the error message"). */
const maxErrorMessageBytes = 1024;

/** For a dead-letter queue: the event as it was sent, and why it is there, unless both are more than a message may be. */
export function deadLetterDelivery(event: EndedEvent, note: AttemptNote): Parts & { isCut: boolean } {
	const { status, message } = failureOf(event, note);
	const attributes = {
		RequestID: { dataType: "String", value: event.requestId },
		ErrorCode: { dataType: "Number", value: String(status) },
		ErrorMessage: { dataType: "String", value: attributeText(message) },
	} as const;
	const sizes = Object.entries(attributes).map(
		([name, { dataType, value }]) => name.length + dataType.length + Buffer.byteLength(value),
	);
	const isCut = sizes.reduce((sum, size) => sum + size, event.payload.length) > maxRecordBytes;
	return { body: event.payload, isCut, ...(!isCut && { attributes }) };
}

export function failureOf(
	{ condition, answer }: EndedEvent,
	{ last }: AttemptNote,
): { status: number; message: string } {
	if (condition === "ZeroReservedConcurrency")
		return { status: 429, message: "The function's reserved concurrency is 0: it is not run" };
	if (condition === "RecursiveInvocation")
		return {
			status: 400,
			message: "A recursive loop was detected: the function has run 16 times in this chain of events",
		};
	if (answer) return { status: 200, message: errorMessage(answer.payload) };
	if (last && "status" in last) return last;
	return { status: 500, message: "The event became too old before the function could be run" };
}

function errorMessage(payload: Uint8Array | undefined): string {
	if (payload === undefined) return "The function failed";
	const text = Buffer.from(payload).toString();
	try {
		const answer: unknown = JSON.parse(text);
		const message = answer !== null && typeof answer === "object" && "errorMessage" in answer && answer.errorMessage;
		return typeof message === "string" && message !== "" ? message : text;
	} catch {
		return text;
	}
}

/** SQS takes the characters of XML 1.0 only, and no empty value. */
function attributeText(message: string): string {
	const allowed = message.replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd");
	const bytes = Buffer.from(allowed === "" ? "Unknown error" : allowed);
	if (bytes.length <= maxErrorMessageBytes) return bytes.toString();
	let end = maxErrorMessageBytes;
	// Not in the middle of a character.
	while ((bytes[end]! & 0xc0) === 0x80) end--;
	return bytes.toString("utf8", 0, end);
}
