/** What became of one event, and of all that came of it: an invocation, its destination's queue, what that queue's trigger did … */
import { describeLane } from "../../core/delivery/lane-name.ts";
import type { MessageLog, StoredMessage, TrailEntry } from "../../core/message-log/message-log.ts";
import { eventView } from "./event-view.ts";
import type { EventState, EventStep, EventStory, StepKind } from "./types.ts";

/** Ids that are followed from one: an event to a bus may have a thousand targets, each with a destination. */
const maxIds = 200;
const maxSteps = 2000;
/** Bytes of the body that are shown of one event. */
const shownBodyBytes = 65_536;

interface Found {
	messages: Map<string, StoredMessage>;
	trail: Map<string, TrailEntry>;
	truncated: boolean;
}

/** Undefined when the log knows nothing of it. */
export async function eventStory(
	log: Pick<MessageLog, "find" | "trail">,
	id: string,
	options: { isDead: (lane: string) => boolean; body: boolean },
): Promise<EventStory | undefined> {
	const { messages, trail, truncated } = await findAll(log, id);
	if (messages.size === 0 && trail.size === 0) return undefined;
	const present = [...messages.values()]
		.sort((a, b) => a.sequence - b.sequence)
		.map((message) => eventView(message, options.isDead(message.lane), options.body ? shownBodyBytes : undefined));
	const entries = [...trail.values()];
	const sentOnes = sentSteps(entries, messages.values());
	const born = bornOfEnds(sentOnes, entries, messages);
	const steps = [...sentOnes, ...stepsOf(entries)]
		.sort((a, b) => a.atMs - b.atMs || order(a, born) - order(b, born))
		.slice(0, maxSteps);
	const state = stateOfAll(
		present.map(({ state }) => state),
		entries,
	);
	return { id, state, steps, present, truncated: truncated || steps.length === maxSteps };
}

/** Correlations are followed both ways: to where it came from, and to what came of it. */
async function findAll(log: Pick<MessageLog, "find" | "trail">, id: string): Promise<Found> {
	const found: Found = { messages: new Map(), trail: new Map(), truncated: false };
	const seen = new Set([id]);
	for (const next of seen) {
		const [messages, trail] = await Promise.all([log.find(next), log.trail(next)]);
		for (const message of messages) found.messages.set(message.id, message);
		for (const entry of trail) found.trail.set(keyOf(entry), entry);
		for (const { id: own, correlation } of [...messages, ...trail])
			for (const one of [own, correlation]) if (one !== undefined && seen.size < maxIds) seen.add(one);
		found.truncated ||= seen.size >= maxIds;
	}
	return found;
}

function keyOf({ id, lane, attempt, atMs, result, to }: TrailEntry): string {
	return `${id} ${lane} ${attempt} ${atMs} ${result} ${to}`;
}

/** Each was sent once; where to, its first attempt or its origin tells. */
function sentSteps(trail: readonly TrailEntry[], present: Iterable<StoredMessage>): EventStep[] {
	const first = new Map<string, EventStep>();
	for (const { id, lane, sentMs } of [...trail].sort((a, b) => a.atMs - b.atMs))
		if (!first.has(id)) first.set(id, sent(id, lane, sentMs));
	for (const { id, lane, origin, sentMs } of present)
		if (!first.has(id)) first.set(id, sent(id, origin ?? lane, sentMs));
	return [...first.values()];
}

function sent(id: string, lane: string, atMs: number): EventStep {
	return { atMs, id, lane, name: describeLane(lane), step: "sent" };
}

const steps: Record<TrailEntry["result"], StepKind> = {
	done: "delivered",
	dead: "dead",
	expired: "expired",
	dropped: "dropped",
	retry: "retry",
	moved: "moved",
	lapsed: "lapsed",
};

function stepsOf(trail: readonly TrailEntry[]): EventStep[] {
	const been = new Set<string>();
	return trail
		.toSorted((a, b) => a.atMs - b.atMs)
		.map((entry) => {
			been.add(`${entry.id} ${entry.lane}`);
			return stepOf(entry, entry.result === "moved" && been.has(`${entry.id} ${entry.to}`));
		});
}

function stepOf({ id, lane, attempt, atMs, result, to, detail }: TrailEntry, back: boolean): EventStep {
	return {
		atMs,
		id,
		lane,
		name: describeLane(lane),
		step: steps[result],
		// A move of what nobody has leased is no attempt.
		...(attempt > 0 && { attempt }),
		...(to !== undefined && { to: describeLane(to) }),
		...(back && { back }),
		...(detail !== undefined && { detail }),
	};
}

const endings: ReadonlySet<TrailEntry["result"]> = new Set(["done", "dead", "expired", "moved"]);

/** Messages, each with its time, that the end of another one sent in the same millisecond: a destination's, or a dead letter. */
function bornOfEnds(
	sentOnes: readonly EventStep[],
	trail: readonly TrailEntry[],
	messages: ReadonlyMap<string, StoredMessage>,
): Set<string> {
	const ends = Map.groupBy(
		trail.filter(({ result }) => endings.has(result)),
		({ atMs }) => atMs,
	);
	const correlations = new Map([...trail, ...messages.values()].map(({ id, correlation }) => [id, correlation]));
	const born = sentOnes.filter(({ id, atMs }) => {
		const correlation = correlations.get(id);
		if (correlation === undefined) return false;
		return ends.get(atMs)?.some((end) => {
			if (end.id === correlation) return true;
			// Siblings of one event are sent together; what came of the end of one of them was sent later than it.
			return end.id !== id && end.correlation === correlation && end.sentMs < atMs;
		});
	});
	return new Set(born.map(({ id, atMs }) => `${id} ${atMs}`));
}

/** Of steps in one millisecond. */
function order({ id, atMs, step }: EventStep, born: ReadonlySet<string>): number {
	return (born.has(`${id} ${atMs}`) ? 2 : 0) + (step === "sent" ? 0 : 1);
}

/** What is still to be done comes first, then what went wrong. */
const precedence: readonly EventStory["state"][] = [
	"in-flight",
	"retrying",
	"ready",
	"delayed",
	"blocked",
	"dead",
	"expired",
	"dropped",
];

/** Of each message its newest end counts: a dead letter that was sent back and then delivered is delivered. */
function stateOfAll(present: readonly EventState[], trail: readonly TrailEntry[]): EventStory["state"] {
	const all = new Set<EventStory["state"]>(present);
	const last = new Map<string, TrailEntry>();
	for (const entry of trail.toSorted((a, b) => a.atMs - b.atMs)) last.set(entry.id, entry);
	// A replay hands a dead letter over as a new message, which has an end of its own.
	const replayed = new Set(trail.flatMap(({ correlation, detail }) => (detail?.replayedTo ? (correlation ?? []) : [])));
	for (const { id, result } of last.values())
		if ((result === "expired" || result === "dropped" || result === "dead") && !replayed.has(id)) all.add(result);
	return precedence.find((state) => all.has(state)) ?? "delivered";
}
