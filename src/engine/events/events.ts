import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { parseLane, readLane } from "../../core/delivery/lane-name.ts";
import type { LaneCounts, LogFault, MessageLog, StoredMessage } from "../../core/message-log/message-log.ts";
import { eventStory } from "./event-story.ts";
import { eventView, laneView, stateOf } from "./event-view.ts";
import { Replay, type ReplayDeps } from "./replay.ts";
import type {
	EventState,
	EventStory,
	EventsOverview,
	EventView,
	LaneView,
	ListRequest,
	ReplayRequest,
	ReplayResult,
} from "./types.ts";

export interface EventsDeps extends ReplayDeps {
	log: MessageLog;
	/** Lanes that functions, rules, schedules name for their dead letters; those of queues' own redrive policies are found without. */
	deadLetterLanes?: (() => Iterable<string>) | undefined;
	/** The bus that has accepted the event, where no rule and no archive took it. */
	unmatched?: ((id: string) => string | undefined) | undefined;
	/** Begins a replay of an archive: its id. */
	replayArchive?: ((name: string, range: { fromMs: number; toMs: number }) => Promise<string>) | undefined;
}

/** Messages that a list looks at, at most, to find those of a state: a call is bounded, and says where it came to. */
const maxScanned = 10_000;
const pageSize = 1000;

/** Views over everything that waits, and the ways back for what is dead. Keeps nothing. */
export class Events {
	readonly #deps: EventsDeps;
	readonly #replay: Replay;

	constructor(deps: EventsDeps) {
		this.#deps = deps;
		this.#replay = new Replay(deps);
	}

	/** Once, at the start: what an earlier process was replaying is dead letters again. */
	recover(): Promise<void> {
		return this.#replay.recover();
	}

	/** Lanes that have anything, by name; all of them with `empty`. */
	async overview({ empty = false } = {}): Promise<EventsOverview> {
		const { log } = this.#deps;
		const [counts, faults] = await Promise.all([log.lanes(""), log.faults()]);
		const dead = this.#deadLanes(counts);
		const all = counts.map((one) => laneView(one, dead.has(one.lane)));
		const total = { ready: 0, delayed: 0, retrying: 0, inFlight: 0, dead: 0, bytes: 0 };
		for (const lane of all) {
			total.dead += lane.dead;
			total.bytes += lane.bytes;
			if (lane.dead > 0 || lane.kind === "archive") continue;
			for (const key of ["ready", "delayed", "retrying", "inFlight"] as const) total[key] += lane[key];
		}
		return { lanes: all.filter((lane) => empty || !isEmpty(lane)), total, faults: faults.length };
	}

	/** `lane` in people's words or its own name. INVALID, NOT_FOUND. */
	async lane(words: string): Promise<LaneView> {
		const counts = await this.#counts(words);
		return laneView(counts, (await this.#dead())(counts.lane));
	}

	/** In the order of sequence. `next`: pass as `after` for more. INVALID, NOT_FOUND. */
	async list(request: ListRequest): Promise<{ events: EventView[]; next?: number }> {
		const { lane } = await this.#counts(request.lane);
		const isDead = (await this.#dead())(lane);
		const { limit, state, fromMs, toMs, bodyBytes } = request;
		const logState = stateIn(state);
		const found: StoredMessage[] = [];
		let after = request.after ?? 0;
		for (let scanned = 0; scanned < maxScanned; ) {
			const size = Math.min(pageSize, state === undefined ? limit - found.length : pageSize);
			const page = await this.#deps.log.scan(lane, { limit: size, after, state: logState, fromMs, toMs });
			scanned += page.length;
			for (const message of page) {
				after = message.sequence;
				if (state === undefined || stateOf(message, isDead) === state) found.push(message);
				if (found.length === limit) break;
			}
			if (page.length < size) return { events: found.map((one) => eventView(one, isDead, bodyBytes)) };
			if (found.length === limit) break;
		}
		return { events: found.map((one) => eventView(one, isDead, bodyBytes)), next: after };
	}

	/** By the id of an invocation, a message or an event, with all that came of it. NOT_FOUND. */
	async story(id: string, { body = false } = {}): Promise<EventStory> {
		const story = await eventStory(this.#deps.log, id, { isDead: await this.#dead(), body });
		if (story) return story;
		const bus = this.#deps.unmatched?.(id);
		if (bus !== undefined)
			throw new SlipwayError(
				"NOT_FOUND",
				`Event bus ${bus} took the event, and none of its rules and archives matched it`,
				{
					hint: "`aws events test-event-pattern` says whether a pattern matches an event",
				},
			);
		throw new SlipwayError("NOT_FOUND", `Nothing is known of an event '${id.slice(0, 200)}'`, {
			hint: "Ids are request ids of asynchronous invocations, message ids of queues, event ids of buses. What became of an event is remembered for the newest 200,000 attempts",
		});
	}

	/** INVALID, NOT_FOUND; UNSUPPORTED for a lane whose messages are no dead letters, as those of a queue in use. */
	async replay(request: ReplayRequest): Promise<ReplayResult> {
		const { lane } = await this.#counts(request.lane);
		const subject = parseLane(lane);
		if (subject.kind === "archive") return this.#replayArchive(subject.name, request);
		if (subject.kind !== "queue" && subject.kind !== "dead")
			throw new SlipwayError(
				"UNSUPPORTED",
				`What waits for a ${subject.kind} is delivered by itself: there is nothing to replay`,
				{
					hint: "Replay a dead-letter queue (`queue/NAME`), dead letters of a trigger (`dead/trigger/NAME`) or an archive (`archive/NAME`)",
				},
			);
		return this.#replay.run({ ...request, lane });
	}

	/** Deletes what waits there: how many. INVALID, NOT_FOUND. */
	async purge(words: string): Promise<number> {
		const { lane } = await this.#counts(words);
		return this.#deps.log.purge(lane);
	}

	faults(): Promise<LogFault[]> {
		return this.#deps.log.faults();
	}

	async #replayArchive(name: string, { fromMs, toMs, ids, target }: ReplayRequest): Promise<ReplayResult> {
		const { replayArchive, clock } = this.#deps;
		if (!replayArchive) throw new SlipwayError("UNSUPPORTED", "Archives can't be replayed here");
		if (ids || target !== undefined)
			throw new SlipwayError(
				"INVALID",
				"An archive is replayed by time, to its bus: without ids and without another target",
			);
		const replay = await replayArchive(name, { fromMs: fromMs ?? 0, toMs: toMs ?? clock.now() });
		return { replayed: 0, kept: 0, problems: [], replay };
	}

	async #counts(words: string): Promise<LaneCounts> {
		const lane = readLane(words);
		try {
			return await this.#deps.log.counts(lane);
		} catch (error) {
			if (!isSlipwayError(error, "NOT_FOUND")) throw error;
			throw new SlipwayError("NOT_FOUND", `Nothing waits, or ever waited, at '${words.trim()}'`, {
				hint: "`slipway events ls --all` shows what there is",
				cause: error,
			});
		}
	}

	async #dead(): Promise<(lane: string) => boolean> {
		const dead = this.#deadLanes(await this.#deps.log.lanes(""));
		return (lane) => dead.has(lane);
	}

	#deadLanes(lanes: readonly LaneCounts[]): Set<string> {
		const dead = new Set(this.#deps.deadLetterLanes?.());
		for (const { lane, settings } of lanes) {
			if (settings.redrive) dead.add(settings.redrive.lane);
			if (parseLane(lane).kind === "dead") dead.add(lane);
		}
		return dead;
	}
}

function isEmpty({ ready, delayed, inFlight }: LaneView): boolean {
	return ready + delayed + inFlight === 0;
}

/** What the log itself can look for, so that it need not be read past. */
function stateIn(state: EventState | undefined): StoredMessage["state"] | undefined {
	if (state === "in-flight") return "leased";
	if (state === "retrying" || state === "delayed") return "delayed";
	return state === "dead" ? undefined : state;
}
