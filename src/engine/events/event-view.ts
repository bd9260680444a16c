import { describeLane, parseLane } from "../../core/delivery/lane-name.ts";
import type { LaneCounts, StoredMessage } from "../../core/message-log/message-log.ts";
import type { EventState, EventView, LaneView } from "./types.ts";

export function laneView(
	{ lane, visible, delayed, inFlight, bytes, oldestSentMs }: LaneCounts,
	isDead: boolean,
): LaneView {
	const { kind } = parseLane(lane);
	return {
		lane,
		kind,
		name: describeLane(lane),
		ready: visible,
		delayed,
		retrying: isDelivered(lane) ? delayed : 0,
		inFlight,
		dead: isDead ? visible + delayed + inFlight : 0,
		bytes,
		...(oldestSentMs !== undefined && { oldestSentMs }),
	};
}

/** By the platform itself, with retries; nothing of these is sent with a delay. Queues have consumers and delays of their own. */
function isDelivered(lane: string): boolean {
	const { kind } = parseLane(lane);
	return kind === "function" || kind === "rule" || kind === "bus" || kind === "schedule" || kind === "trigger";
}

export function stateOf(message: StoredMessage, isDead: boolean): EventState {
	if (message.state === "leased") return "in-flight";
	if (isDead) return "dead";
	if (message.state === "delayed") return message.attempts > 0 ? "retrying" : "delayed";
	return message.state;
}

export function eventView(message: StoredMessage, isDead: boolean, bodyBytes: number | undefined): EventView {
	const { id, correlation, lane, sequence, sentMs, dueMs, attempts, group, note, origin, body } = message;
	return {
		id,
		...(correlation !== undefined && { correlation }),
		lane,
		name: describeLane(lane),
		sequence,
		state: stateOf(message, isDead),
		sentMs,
		...(dueMs !== undefined && { dueMs }),
		attempts,
		size: body.length,
		...(group !== undefined && { group }),
		...(note !== undefined && { note: readNote(note) }),
		...(origin !== undefined && { origin }),
		...(bodyBytes !== undefined && shownBody(body, bodyBytes)),
	};
}

/** Notes are their owner's, mostly JSON. */
function readNote(note: string): unknown {
	try {
		return JSON.parse(note);
	} catch {
		return note;
	}
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function shownBody(bytes: Uint8Array, most: number): Pick<EventView, "body" | "bodyEncoding" | "truncated"> {
	const truncated = bytes.length > most ? { truncated: true } : {};
	const shown = bytes.subarray(0, bytes.length > most ? characterStart(bytes, most) : most);
	try {
		return { body: utf8.decode(shown), bodyEncoding: "utf8", ...truncated };
	} catch {
		return { body: Buffer.from(bytes.subarray(0, most)).toString("base64"), bodyEncoding: "base64", ...truncated };
	}
}

/** A character that is cut in two would make text look like none: continuation bytes are 10xxxxxx (RFC 3629, section 3). */
function characterStart(bytes: Uint8Array, at: number): number {
	let start = at;
	while (start > 0 && at - start < 4 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start--;
	return start;
}
