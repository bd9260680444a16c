/** What users put beside a body (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html). */
import { hash } from "node:crypto";
import { invalidParameter, invalidValue } from "./queue-error.ts";

/** Exactly one of the two values. */
export interface MessageAttribute {
	/** "String", "Number", "Binary", each with a label of the user's after a dot. */
	dataType: string;
	stringValue?: string;
	binaryValue?: Uint8Array;
}

export type MessageAttributes = Readonly<Record<string, MessageAttribute>>;

export const maxAttributes = 10;
const maxNameLength = 256;
const maxTypeLength = 256;
const nameForm = /^[A-Za-z0-9_.-]+$/;
/** "Can have up to 38 digits of precision, between 10^-128 and 10^+126." */
const numberForm = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$/;
const maxNumberLength = 256;
const forbidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

/** Whether all characters are ones that SQS takes: #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF. */
export function isSendableText(text: string): boolean {
	return !forbidden.test(text) && text.isWellFormed();
}

/** Throws InvalidParameterValue. */
export function checkAttributes(attributes: MessageAttributes): void {
	const entries = Object.entries(attributes);
	if (entries.length > maxAttributes)
		throw invalidParameter(
			`Number of message attributes [${entries.length}] exceeds the allowed maximum [${maxAttributes}].`,
		);
	for (const [name, attribute] of entries) {
		checkName(name);
		checkAttribute(name, attribute);
	}
}

function checkName(name: string): void {
	const reserved = /^(?:aws|amazon)\./i.test(name);
	const dots = name.startsWith(".") || name.endsWith(".") || name.includes("..");
	if (name.length === 0 || name.length > maxNameLength || !nameForm.test(name) || reserved || dots)
		throw invalidParameter(
			`Message (user) attribute name '${name.slice(0, maxNameLength)}' is invalid: it has 1 to ${maxNameLength} characters of A-Z, a-z, 0-9, underscore, hyphen and period, does not begin or end with a period or have two in a row, and does not begin with AWS. or Amazon.`,
		);
}

function checkAttribute(name: string, { dataType, stringValue, binaryValue }: MessageAttribute): void {
	const refuse = (why: string) => invalidParameter(`The message attribute '${name}' ${why}`);
	if (dataType === "") throw refuse("must contain non-empty message attribute type.");
	if (dataType.length > maxTypeLength || !/^(?:String|Number|Binary)(?:\.[\s\S]*)?$/.test(dataType))
		throw refuse(
			`has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.`,
		);
	const isBinary = dataType.startsWith("Binary");
	if (stringValue === undefined && binaryValue === undefined)
		throw refuse(`must contain non-empty message attribute value for message attribute type '${dataType}'.`);
	if ((isBinary ? binaryValue : stringValue) === undefined || (stringValue !== undefined && binaryValue !== undefined))
		throw refuse(`with type '${dataType}' must use field '${isBinary ? "Binary" : "String"}'.`);
	if ((isBinary ? binaryValue : stringValue)?.length === 0)
		throw refuse(`must contain non-empty message attribute value for message attribute type '${dataType}'.`);
	if (stringValue !== undefined && !isSendableText(stringValue))
		throw invalidValue(name, "MessageAttributes", "Invalid characters found in the attribute's value.");
	if (dataType.startsWith("Number") && !isSqsNumber(stringValue ?? ""))
		throw refuse("Can't cast the value of message (user) attribute to a number.");
}

function isSqsNumber(text: string): boolean {
	return text.length <= maxNumberLength && numberForm.test(text);
}

/** "Name, type, value and the message body … are part of the message size restriction": bytes. */
export function attributesSize(attributes: MessageAttributes): number {
	let size = 0;
	for (const [name, { dataType, stringValue, binaryValue }] of Object.entries(attributes))
		size += name.length + dataType.length + (binaryValue?.length ?? Buffer.byteLength(stringValue ?? ""));
	return size;
}

const stringTag = 1;
const binaryTag = 2;

/**
 * Hexadecimal; undefined without attributes. Sorted by name; name, type and value each with its length before it
 * (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-attributes-md5-message-digest-calculation).
 */
export function attributesMd5(attributes: MessageAttributes): string | undefined {
	const names = Object.keys(attributes).sort();
	if (names.length === 0) return undefined;
	const parts: Uint8Array[] = [];
	const add = (bytes: Uint8Array) => {
		const length = Buffer.allocUnsafe(4);
		length.writeUInt32BE(bytes.length);
		parts.push(length, bytes);
	};
	for (const name of names) {
		const { dataType, stringValue, binaryValue } = attributes[name]!;
		add(Buffer.from(name));
		add(Buffer.from(dataType));
		parts.push(Buffer.of(binaryValue ? binaryTag : stringTag));
		add(binaryValue ?? Buffer.from(stringValue ?? ""));
	}
	return md5(Buffer.concat(parts));
}

export function md5(bytes: Uint8Array | string): string {
	return hash("md5", bytes, "hex");
}

/** Those that a receiver asks for: names, "All" or ".*", or "prefix.*". */
export function chosenAttributes(attributes: MessageAttributes, names: readonly string[]): MessageAttributes {
	if (names.length === 0) return {};
	if (names.includes("All") || names.includes(".*")) return attributes;
	const wanted = (name: string) =>
		names.some((one) => one === name || (one.endsWith(".*") && name.startsWith(one.slice(0, -1))));
	// fromEntries defines properties, so that a name such as "__proto__" is only a name.
	return Object.fromEntries(Object.entries(attributes).filter(([name]) => wanted(name)));
}
