/** The event as targets get it: https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html */
import { SlipwayError } from "../../base/error.ts";
import { maxDetailDepth, maxDetailTypeLength, maxEventBytes, maxSourceLength } from "./limits.ts";
import type { Place } from "./names.ts";
import type { BusEvent, Envelope } from "./types.ts";

export interface PublishError {
	code: string;
	message: string;
}

/** What PutEvents says of an entry that it does not take. */
export function entryError(event: Partial<BusEvent>): PublishError | undefined {
	const { source, detailType, detail } = event;
	if (!source) return missing("Source");
	if (!detailType) return missing("DetailType");
	if (!detail) return missing("Detail");
	if (source.length > maxSourceLength) return tooLong("Source", maxSourceLength);
	if (detailType.length > maxDetailTypeLength) return tooLong("DetailType", maxDetailTypeLength);
	if (eventBytes(event) > maxEventBytes)
		return invalid("Detail", `The event has ${eventBytes(event)} bytes, at most ${maxEventBytes} are allowed`);
	if (event.time !== undefined && !isTime(event.time))
		return invalid("Time", "It is not a time between the years 0 and 9999");
	if (!isObjectText(detail)) return { code: "MalformedDetail", message: "Detail is malformed." };
	return undefined;
}

/** Milliseconds of 0000-01-01 and 10000-01-01: what has four digits of a year. */
function isTime(ms: number): boolean {
	return ms >= -62_167_219_200_000 && ms < 253_402_300_800_000;
}

function missing(parameter: string): PublishError {
	return invalid(parameter, `${parameter} is a required argument.`);
}

function tooLong(parameter: string, limit: number): PublishError {
	return invalid(parameter, `${parameter} must have length less than or equal to ${limit}.`);
}

function invalid(parameter: string, reason: string): PublishError {
	return { code: "InvalidArgument", message: `Parameter ${parameter} is not valid. Reason: ${reason}` };
}

/** As EventBridge counts them: 14 bytes for a time, UTF-8 of the rest. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size */
export function eventBytes({ source, detailType, detail, time, resources }: Partial<BusEvent>): number {
	const texts = [source, detailType, detail, ...(resources ?? [])];
	return texts.reduce((sum, text) => sum + Buffer.byteLength(text ?? ""), time === undefined ? 0 : 14);
}

function isObjectText(text: string): boolean {
	if (depthOf(text) > maxDetailDepth) return false;
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === "object" && value !== null && !Array.isArray(value);
	} catch {
		return false;
	}
}

/** Brackets that are open at once; of a text that is no JSON it may be wrong, and does not matter. */
function depthOf(text: string): number {
	let depth = 0;
	let deepest = 0;
	let quoted = false;
	for (let i = 0; i < text.length; i++) {
		const character = text[i];
		if (quoted) {
			if (character === "\\") i++;
			else if (character === '"') quoted = false;
		} else if (character === '"') quoted = true;
		else if (character === "{" || character === "[") deepest = Math.max(deepest, ++depth);
		else if (character === "}" || character === "]") depth--;
	}
	return deepest;
}

/** `event` has passed `entryError`. The detail's text stands in it as it came: numbers keep all their digits. */
export function makeEnvelope(event: BusEvent, id: string, nowMs: number, place: Place): Envelope {
	const head = {
		version: "0",
		id,
		"detail-type": event.detailType,
		source: event.source,
		account: place.accountId,
		time: new Date(event.time ?? nowMs).toISOString().replace(/\.\d+Z$/, "Z"),
		region: place.region,
		resources: event.resources ?? [],
	};
	const text = `${JSON.stringify(head).slice(0, -1)},"detail":${event.detail.trim()}}`;
	return readEnvelope(text);
}

/** Of a text that is ours. */
export function readEnvelope(text: string): Envelope {
	const value = JSON.parse(text) as Record<string, unknown>;
	const { id, source, "detail-type": detailType } = value;
	if (typeof id !== "string" || typeof source !== "string" || typeof detailType !== "string")
		throw new SlipwayError("INVALID", "An event on the bus has an id, a source and a detail-type");
	return { id, text, value, source, detailType };
}

/** The detail as it came, with all digits of its numbers. */
export function detailText({ text, value }: Envelope): string {
	const { detail, ...head } = value;
	const before = `${JSON.stringify(head).slice(0, -1)},"detail":`;
	return text.startsWith(before) ? text.slice(before.length, -1) : JSON.stringify(detail);
}

/** Replayed events say whose replay they are of. */
export function withReplayName(text: string, replay: string): string {
	return `{"replay-name":${JSON.stringify(replay)},${text.slice(1)}`;
}
