/** Names of the message log's lanes, and the words that people use for the same. The only file that knows how a lane is named. */
import { SlipwayError } from "../../base/error.ts";

export type LaneSubject =
	/** Asynchronous invocations that wait for a function. */
	| { kind: "function"; name: string; qualifier: string | undefined }
	| { kind: "queue"; name: string }
	/** Deliveries to one target of a rule. */
	| { kind: "rule"; bus: string; rule: string; target: string }
	/** Fired ticks of a schedule. */
	| { kind: "schedule"; group: string; name: string }
	| { kind: "archive"; name: string }
	/** What a trigger took from its broker. */
	| { kind: "trigger"; name: string }
	/** Events of a bus with more targets than one commit has room for, on their way to them. */
	| { kind: "bus"; name: string }
	/** What a lane without a queue for its dead letters gave up. */
	| { kind: "dead"; of: string }
	/** A lane that none of these names. */
	| { kind: "other"; name: string };

export type LaneKind = LaneSubject["kind"];
type NamedKind = Exclude<LaneKind, "dead" | "other">;

/** First segment of the lanes of each kind. */
export const lanePrefixes = {
	function: "lambda/",
	queue: "sqs/",
	rule: "events/",
	schedule: "schedules/",
	archive: "archive/",
	trigger: "triggers/",
	bus: "fan-out/",
} as const satisfies Record<NamedKind, string>;
/** `dead-letters/LANE` */
const deadPrefix = "dead-letters/";
const deadWords = "dead letters of ";

export function parseLane(lane: string): LaneSubject {
	const dead = lane.startsWith(deadPrefix) ? lane.slice(deadPrefix.length) : "";
	if (dead !== "" && !dead.startsWith(deadPrefix) && parseLane(dead).kind !== "other")
		return { kind: "dead", of: dead };
	const [first = "", ...rest] = lane.split("/");
	const name = rest.join("/");
	const [a = "", b = "", ...more] = rest;
	if (name !== "") {
		if (first === "lambda") {
			const [functionName = "", qualifier] = name.split(/:(.*)/s);
			return { kind: "function", name: functionName, qualifier };
		}
		if (first === "sqs") return { kind: "queue", name };
		if (first === "archive") return { kind: "archive", name };
		if (first === "triggers") return { kind: "trigger", name };
		if (first === "fan-out") return { kind: "bus", name };
		if (first === "schedules" && b !== "") return { kind: "schedule", group: a, name: [b, ...more].join("/") };
		if (first === "events") return ruleOf(rest) ?? { kind: "other", name: lane };
	}
	return { kind: "other", name: lane };
}

/** Buses of partners have slashes in their names (`aws.partner/…`): the last two segments are rule and target. */
function ruleOf(segments: readonly string[]): LaneSubject | undefined {
	const target = segments.at(-1);
	const rule = segments.at(-2);
	const bus = segments.slice(0, -2).join("/");
	return target && rule && bus ? { kind: "rule", bus, rule, target } : undefined;
}

export function laneOf(subject: LaneSubject): string {
	switch (subject.kind) {
		case "function":
			return `${lanePrefixes.function}${subject.name}${subject.qualifier === undefined ? "" : `:${subject.qualifier}`}`;
		case "rule":
			return `${lanePrefixes.rule}${subject.bus}/${subject.rule}/${subject.target}`;
		case "schedule":
			return `${lanePrefixes.schedule}${subject.group}/${subject.name}`;
		case "dead":
			return `${deadPrefix}${subject.of}`;
		case "other":
			return subject.name;
		default:
			return `${lanePrefixes[subject.kind]}${subject.name}`;
	}
}

/** Of a lane of asynchronous invocations. Neither names nor qualifiers have a colon in them. */
export function functionOfLane(lane: string): { name: string; qualifier: string | undefined } {
	const [name = "", qualifier] = lane.slice(lanePrefixes.function.length).split(":", 2);
	return { name, qualifier };
}

/** One for a function, $LATEST too, and one for each version or alias that events are sent to. */
export function laneOfFunction(name: string, qualifier: string | undefined): string {
	return laneOf({ kind: "function", name, qualifier: qualifier === "$LATEST" ? undefined : qualifier });
}

/** `function orders:live`, `queue orders`, `rule default/r1 -> t`, `schedule default/nightly`. */
export function describeLane(lane: string): string {
	const subject = parseLane(lane);
	switch (subject.kind) {
		case "function":
			return `function ${subject.name}${subject.qualifier === undefined ? "" : `:${subject.qualifier}`}`;
		case "rule":
			return `rule ${subject.bus}/${subject.rule} -> ${subject.target}`;
		case "schedule":
			return `schedule ${subject.group}/${subject.name}`;
		case "dead":
			return `${deadWords}${describeLane(subject.of)}`;
		case "other":
			return subject.name;
		default:
			return `${subject.kind} ${subject.name}`;
	}
}

/** Longest name of a lane that can be asked for; the longest of ours, a rule's, has 64 + 64 + 256 and their separators. */
const maxLaneLength = 512;

/** Of a lane's own name, or of `KIND/NAME` or `KIND NAME` in people's words, as `describeLane` writes them. INVALID otherwise. */
export function readLane(words: string): string {
	const text = words.trim();
	if (text.length > maxLaneLength) throw new SlipwayError("INVALID", `'${text.slice(0, 80)}…' is no name of a lane`);
	const dead = /^(?:dead letters of |dead\/)(.+)$/s.exec(text)?.[1];
	if (dead !== undefined) return `${deadPrefix}${readLane(dead)}`;
	const [, kind = "", name = ""] = /^([a-z]+)[ /](.+)$/s.exec(text) ?? [];
	const given = name.replace(/ -> /, "/");
	if (isKind(kind)) {
		const lane = `${lanePrefixes[kind]}${given}`;
		if (parseLane(lane).kind === kind) return lane;
		throw new SlipwayError("INVALID", `'${text}' is not whole: it must be ${forms[kind]}`);
	}
	if (parseLane(text).kind !== "other") return text;
	throw new SlipwayError("INVALID", `'${text}' is no place where events wait`, {
		hint: `Say ${Object.values(forms).join(", ")}, or dead/ and one of these; \`slipway events ls\` shows those there are`,
	});
}

const forms: Record<NamedKind, string> = {
	function: "function/NAME[:QUALIFIER]",
	queue: "queue/NAME",
	rule: "rule/BUS/RULE/TARGET",
	schedule: "schedule/GROUP/NAME",
	archive: "archive/NAME",
	trigger: "trigger/NAME",
	bus: "bus/BUS",
};

function isKind(word: string): word is keyof typeof forms {
	return Object.hasOwn(forms, word);
}
