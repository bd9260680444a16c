/**
 * The durable log under everything that is delivered later: asynchronous invocations, queues, the bus's targets, schedules.
 * It keeps messages in lanes. What it has answered is on the disk: a kill or a loss of power at any moment after the
 * answer loses nothing of it. Delivery is at least once: a lease ends by being settled, by its time, or with the process
 * that held it. docs/adr/0016.
 */
export interface MessageLog {
	/**
	 * Makes the lane or changes its settings. A lane that is only appended to is made with `defaultLaneSettings`. CONFLICT when
	 * `ordered` changes while it has messages.
	 */
	defineLane(lane: string, settings: LaneSettings): Promise<void>;
	/** With all its messages, which are not moved anywhere. Nothing when it is not there. */
	removeLane(lane: string): Promise<void>;
	/**
	 * All of the changes or none, on the disk before it resolves; those of other callers may share the commit, and each still
	 * fails alone. Results in the order of the changes. PRECONDITION (reason "StaleLease") when a settled or extended lease is not
	 * the message's newest any more or its message is gone; EXHAUSTED (reason "LaneFull") past a lane's bound, or (reason "DiskFull");
	 * INVALID, TOO_LARGE; UNAVAILABLE while the disk refuses; THROTTLED past the bound of calls under way.
	 *
	 * The newest lease of a message can be settled after its time too, as long as nobody else has leased the message since; but
	 * not in an ordered lane, and it can't be extended: PRECONDITION (reason "LeaseEnded"). UNAVAILABLE leaves open whether it was done.
	 */
	commit(changes: readonly LogChange[]): Promise<ChangeResult[]>;
	/**
	 * The oldest messages that are ready, at most `max`: none when there are none. A lane that is not there has none. In an ordered lane
	 * each group's run of messages begins with its oldest.
	 */
	lease(lane: string, options: LeaseOptions): Promise<LeasedMessage[]>;
	/**
	 * Called whenever messages of a lane whose name begins so may have become ready, by any cause, once for each that has some when
	 * the watch begins, and again each `sweepMs` while it has; never inside of this call. The function ends it.
	 */
	watch(prefix: string, onReady: (lane: string) => void): () => void;
	/** NOT_FOUND for a lane that is not there. */
	counts(lane: string): Promise<LaneCounts>;
	/** Those whose name begins so, by name. Cheap however many messages they have. */
	lanes(prefix: string): Promise<LaneCounts[]>;
	/** In the order of sequence, without leasing. */
	scan(lane: string, options: ScanOptions): Promise<StoredMessage[]>;
	/** Messages whose id or correlation this is, in any lane; at most 1,000. */
	find(id: string): Promise<StoredMessage[]>;
	/** What became of the leases of messages whose id or correlation this is, and their moves, oldest first: the newest `trailEntries` of the whole log are kept. */
	trail(id: string): Promise<TrailEntry[]>;
	/** Moves messages that nobody holds to another lane, or each to the lane that it was moved from: one commit. How many. */
	move(from: string, options: MoveOptions): Promise<number>;
	/** Deletes messages of the lane, leased ones too: how many. */
	purge(lane: string): Promise<number>;
	/** Messages whose bytes are not those that were written: set aside, never served. Oldest first. */
	faults(): Promise<LogFault[]>;
}

export interface LaneSettings {
	/**
	 * In groups (SQS FIFO): a lease gives a group's oldest message and those right behind it, as many as fit, in their order and next to each
	 * other; nobody gets more of the group until all of them were settled, given back or have lapsed.
	 */
	ordered: boolean;
	/** Milliseconds after which a message is deleted, counted from its being sent: by a look once a minute, and instead of being leased. Leased ones stay. */
	retentionMs: number;
	/** Messages at once; past it appends fail. */
	maxMessages: number;
	/** Messages leased at once; past it leases are empty. */
	maxInFlight: number;
	/** A message that was leased so often is moved to that lane when it would be leased again, in the same commit. */
	redrive?: { maxLeases: number; lane: string };
}

export const defaultLaneSettings: LaneSettings = {
	ordered: false,
	/** SQS's longest: nothing of ours waits longer. */
	retentionMs: 14 * 86_400_000,
	maxMessages: 100_000_000,
	/** SQS's bound of a standard queue. */
	maxInFlight: 120_000,
};

/** Bytes of a body: SQS's and Lambda's 1 MiB and room for what is put around it. */
export const maxBodyBytes = 1_310_720;
/** Characters of a message's headers as JSON, and of a note. */
export const maxHeadersLength = 262_144;
export const maxNoteLength = 16_384;
/** Settled leases that `trail` knows of, over all lanes. */
export const trailEntries = 200_000;

/** Messages that one lease deletes for their age or moves to the dead letters at most; the next one goes on. */
export const maxPassedOver = 1000;
/** Milliseconds between two looks for messages past their retention. */
export const sweepMs = 60_000;
/** Milliseconds that a timer for a due message waits at most: the wall clock may have been set meanwhile. */
export const longestTimerMs = 60_000;

export type LogChange = Append | Settle | Extend;

export interface Append {
	change: "append";
	lane: string;
	/**
	 * `timeOrderedUuid`, so that ten million of them make an index that grows at its end only. Two messages of one id are two messages: leases name
	 * sequences, `find` gives both. Who wants one of them gives a deduplication key.
	 */
	id: string;
	/** Id of the event that this one came of, where it is another's; `find` and `trail` follow it. */
	correlation?: string | undefined;
	body: Uint8Array;
	/** JSON; what the lane's owner keeps with the body. */
	headers?: Record<string, unknown> | undefined;
	/** In an ordered lane: always. */
	group?: string | undefined;
	/** An append with the same key in the lane within the window is answered with the first one's id and adds nothing. */
	deduplication?: { key: string; windowMs: number } | undefined;
	/** Milliseconds until it is ready. */
	delayMs?: number | undefined;
	/** When it was sent, where that is not now: epoch milliseconds. */
	sentMs?: number | undefined;
}

/** The end of a lease. `detail` is for `trail`: a short JSON object, such as a request id and an error. */
export type Settle = { change: "settle"; token: string; detail?: Record<string, unknown> | undefined } & SettleOutcome;

export type SettleOutcome =
	/** Delivered, or given up: deleted. `result` is the trail's word for it: "done" where it is left out. */
	| { outcome: "done"; result?: "done" | "dead" | "expired" | "dropped" | undefined }
	/** Ready again after the delay. `counts: false` takes the attempt back. A note that is left out stays as it was. */
	| { outcome: "retry"; delayMs: number; note?: string | undefined; counts?: boolean | undefined }
	/** To the end of another lane, with its id, body, sent time and headers (with these put over them); its attempts begin anew. */
	| { outcome: "move"; lane: string; headers?: Record<string, unknown> | undefined };

/** Of a lease that has not ended yet. */
export interface Extend {
	change: "extend";
	token: string;
	/** It ends so much from now, also one that was for the process; 0 gives the message back at once. Left out, it ends when it would have. */
	visibilityMs?: number | undefined;
	/** Its attempt has failed: `trail` has that at once, as "retry", and no "lapsed" when the lease ends by its time or with the process. */
	detail?: Record<string, unknown> | undefined;
}

export interface ChangeResult {
	/** Of an append: its id, or that of the first with the same deduplication key; "" otherwise. */
	id: string;
	/** Of that message: rises with each append to the log. 0 otherwise. */
	sequence: number;
	duplicate: boolean;
}

export interface LeaseOptions {
	max: number;
	/** Bytes of bodies in all; the first message always fits. */
	maxBytes?: number | undefined;
	/**
	 * Milliseconds until others may have it; or "process": as long as this process lives, whatever the clock does; the next process
	 * finds it ready.
	 */
	visibility: number | "process";
}

export interface StoredMessage {
	lane: string;
	id: string;
	correlation: string | undefined;
	sequence: number;
	state: "ready" | "delayed" | "leased" | "blocked";
	body: Uint8Array;
	headers: Record<string, unknown>;
	group: string | undefined;
	/** Epoch milliseconds; `dueMs` when a delayed one becomes ready or a lease ends, undefined where it does not. */
	sentMs: number;
	dueMs: number | undefined;
	firstLeasedMs: number | undefined;
	/** Leases so far. */
	attempts: number;
	note: string | undefined;
	/** The lane that it was moved here from. */
	origin: string | undefined;
}

export interface LeasedMessage extends StoredMessage {
	state: "leased";
	firstLeasedMs: number;
	/** Names this lease; at most 40 characters of [0-9a-zA-Z.-]. */
	token: string;
}

export interface LaneCounts {
	lane: string;
	settings: LaneSettings;
	/** Ready ones, and in an ordered lane those behind them. */
	visible: number;
	delayed: number;
	inFlight: number;
	/** Of bodies. */
	bytes: number;
	/** Epoch milliseconds when the oldest was sent; undefined for an empty lane. */
	oldestSentMs: number | undefined;
}

export interface ScanOptions {
	/** At most 1,000. */
	limit: number;
	state?: StoredMessage["state"] | undefined;
	/** Sequences above this one. */
	after?: number | undefined;
	/** Sent in this time, epoch milliseconds, from and to included. */
	fromMs?: number | undefined;
	toMs?: number | undefined;
}

export interface MoveOptions {
	/** At most 10,000. */
	max: number;
	/** "origin": each to where it came from; one that came from nowhere stays. */
	to: { lane: string } | "origin";
	/** Only these; all where it is left out. */
	ids?: readonly string[] | undefined;
	/** Not for `trail`: a step of something that tells of itself. */
	untold?: boolean | undefined;
}

export interface TrailEntry {
	id: string;
	correlation: string | undefined;
	lane: string;
	/** Which lease it was, from 1; 0 for a move before the first. */
	attempt: number;
	/** Epoch milliseconds. */
	atMs: number;
	sentMs: number;
	result: "done" | "dead" | "expired" | "dropped" | "retry" | "moved" | "lapsed";
	/** Where it was moved; of the dead, the lane's `redrive.lane`. */
	to: string | undefined;
	detail: Record<string, unknown> | undefined;
}

export interface LogFault {
	lane: string;
	id: string;
	sequence: number;
	/** When it was found, epoch milliseconds. */
	foundMs: number;
	/** Such as "checksum is 1a2b3c4d, not 5e6f7a8b". */
	what: string;
}
