/** What is shown of events: times, states, bodies; and how places are named on the command line. */
import { readFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { SlipwayError, systemCode } from "../base/error.ts";
import type { EventStep } from "../client/event-schema.ts";
import { formatDuration, formatTime, parseDuration } from "./format.ts";
import { usage } from "./options.ts";
import { type Call, text } from "./verb.ts";

/** A body that is read from a file or a pipe: more is refused by every queue and function. */
const maxBodyBytes = 1024 * 1024;
/** Characters of a body in a table's cell. */
const cellLength = 60;

export function age(sentMs: number | undefined): string {
	return sentMs === undefined ? "" : formatDuration(Date.now() - sentMs);
}

/** One line, cut short. */
export function cell(body: string | undefined, length = cellLength): string {
	const line = (body ?? "").replace(/\s+/g, " ").replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
	return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}

/** `queue orders` may be written as one argument or two. */
export function placeOf(words: readonly string[]): string {
	return words.join(" ");
}

/** A point in time: ISO 8601, or how long ago (`1h`). */
export function timeOf(option: string, value: Call["values"][string]): number | undefined {
	const given = text(value);
	if (given === undefined) return undefined;
	const agoMs = parseDuration(given);
	if (agoMs !== undefined) return Date.now() - agoMs;
	const at = /^\d{4}-\d{2}-\d{2}/.test(given) ? Date.parse(given) : Number.NaN;
	if (Number.isNaN(at))
		throw usage(`--${option} is '${given}': it must be a time as 2026-11-21T18:00:00Z, or how long ago as 90m`);
	return at;
}

/** `-` is standard input. */
export async function readBody(argument: string | undefined, file: string | undefined): Promise<string> {
	if (argument !== undefined && file !== undefined) throw usage("A body and --file exclude each other");
	const source = argument === "-" ? "-" : file;
	if (source === undefined) {
		if (argument === undefined) throw usage("The body is missing: an argument, - for standard input, or --file FILE");
		return argument;
	}
	const bytes = source === "-" ? await buffer(process.stdin) : await readBodyFile(source);
	if (bytes.length > maxBodyBytes)
		throw new SlipwayError("TOO_LARGE", `A body has at most ${maxBodyBytes} bytes; this one has ${bytes.length}`);
	try {
		// A pipe's last line break is the shell's, not the message's.
		return new TextDecoder("utf-8", { fatal: true }).decode(bytes).replace(/\r?\n$/, "");
	} catch (error) {
		throw new SlipwayError("INVALID", "The body is not UTF-8 text", {
			cause: error,
			hint: "Encode it, as with base64",
		});
	}
}

async function readBodyFile(file: string): Promise<Uint8Array> {
	try {
		return await readFile(file);
	} catch (error) {
		if (systemCode(error) === undefined) throw error;
		throw new SlipwayError("INVALID", `The file '${file}' can't be read: ${(error as Error).message}`);
	}
}

const verbs: Record<EventStep["step"], (step: EventStep) => string> = {
	sent: ({ name }) => `sent to ${name}`,
	delivered: ({ name, attempt }) => `${name}: attempt ${attempt} delivered`,
	retry: ({ name, attempt, detail }) => `${name}: attempt ${attempt} failed${failureText(detail)}, tried again later`,
	moved: ({ name, to, back }) => `${name}: ${back ? "sent back" : "moved"} to ${to}`,
	dead: ({ name, attempt, to }) =>
		`${name}: given up after attempt ${attempt}${to === undefined ? "" : `, moved to ${to}`}`,
	expired: ({ name }) => `${name}: too old, given up`,
	dropped: ({ name }) => `${name}: dropped`,
	lapsed: ({ name, attempt }) => `${name}: attempt ${attempt} came to no end (lease over, or daemon ended)`,
};

/** `: Error: out of stock (request id 0192…)` */
function failureText({ error, requestId }: Record<string, unknown> = {}): string {
	if (typeof error !== "string") return "";
	return `: ${cell(error, 200)}${typeof requestId === "string" ? ` (request id ${requestId})` : ""}`;
}

/** `2026-11-21 03:22:55  queue orders: attempt 1 failed: Error: no (request id 0192…), tried again later  {"status":200}` */
export function stepText(step: EventStep): string {
	const { error, requestId, ...rest } = step.detail ?? {};
	const shown = step.step === "retry" && typeof error === "string" ? rest : step.detail;
	const detail = shown && Object.keys(shown).length > 0 ? `  ${cell(JSON.stringify(shown), 200)}` : "";
	return `${formatTime(step.atMs)}  ${verbs[step.step](step)}${detail}`;
}
