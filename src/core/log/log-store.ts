/**
 * The functions' logs: groups, streams, events (CloudWatch Logs' words). Appends are accepted at once and written behind,
 * in order; a reader sees a line within a second. A crash may lose the last second of lines, never tear one. What is
 * written of groups and streams (creation, retention, tags) is on the disk before it resolves.
 *
 * Events are ordered by timestamp, those of one timestamp by `sequence`, which grows with every event appended to a group.
 * The two together name an event for good, so that a reader can go on from one (LogCursor) while others append.
 */
export interface LogStore extends AsyncDisposable {
	/**
	 * Never blocks and never throws; lines past the bound are counted and said so in the log itself. A group and a stream
	 * that are not there are made. `flush` says when the lines are in their file.
	 */
	append(group: string, stream: string, events: readonly LogEvent[]): void;
	/** Resolves when everything that was appended to the group has been written to its file. NOT_FOUND. */
	flush(group: string): Promise<void>;
	/** Events in time order, `limit` of them from the end of the range unless `fromStart`. An unknown group is NOT_FOUND. */
	read(group: string, query: LogQuery): Promise<StoredLogEvent[]>;
	/** As `read`, a page at a time and with a filter; a page may be empty although there are more (`next`). NOT_FOUND. */
	page(group: string, query: LogPageQuery): Promise<LogPage>;
	/** Yields events appended from now on until aborted. The group need not be there yet. */
	follow(group: string, options: { stream?: string; signal: AbortSignal }): AsyncIterable<StoredLogEvent>;

	/** Empty. ALREADY_EXISTS. */
	createGroup(group: string, settings?: Partial<LogGroupSettings>): Promise<void>;
	/** NOT_FOUND. */
	describeGroup(group: string): Promise<LogGroup>;
	/** NOT_FOUND. What is left out stays; `retentionDays: undefined` keeps events for ever. */
	updateGroup(group: string, change: Partial<LogGroupSettings>): Promise<void>;
	/** In ASCII order. */
	listGroups(): Promise<string[]>;
	/** NOT_FOUND. A line that is appended later makes the group anew, without its settings. */
	deleteGroup(group: string): Promise<void>;

	/** Empty. ALREADY_EXISTS; NOT_FOUND of the group; EXHAUSTED past `maxEmptyStreams`. */
	createStream(group: string, stream: string): Promise<void>;
	/** In ASCII order. NOT_FOUND of the group. */
	describeStreams(group: string): Promise<LogStream[]>;
	/** Streams that have events. NOT_FOUND. */
	listStreams(group: string): Promise<{ stream: string; firstMs: number; lastMs: number }[]>;
	/** Its events are not read any more. NOT_FOUND of group or stream (reason "LogStreamUnknown"). */
	deleteStream(group: string, stream: string): Promise<void>;
}

/** Streams of a group that were made without an event: they are kept in the group's settings, which are written whole. */
export const maxEmptyStreams = 10_000;
/** The most events that one read returns, and its default: CloudWatch Logs' page (GetLogEvents, limit). */
export const maxReadEvents = 10_000;
/** Bytes of messages that one page returns at most, unless a single event is longer: CloudWatch Logs' 1 MB page. */
export const maxPageBytes = 1024 * 1024;
/** Bytes of messages that one `read` returns at most: 10,000 lines of 6 KB. */
export const maxReadBytes = 64 * 1024 * 1024;

export interface LogEvent {
	/** Milliseconds since the epoch. */
	timestamp: number;
	/** Without its final newline. */
	message: string;
}

export interface StoredLogEvent extends LogEvent {
	stream: string;
}

/** A place in a group's order of events. */
export interface LogCursor {
	timestamp: number;
	sequence: number;
}

export interface IngestedLogEvent extends StoredLogEvent, LogCursor {
	/** When it was appended, milliseconds since the epoch. */
	ingestedMs: number;
}

export interface LogQuery {
	stream?: string;
	/** Inclusive. */
	startMs?: number;
	/** Exclusive. */
	endMs?: number;
	/** At most 10,000, which is the default. */
	limit?: number;
	fromStart?: boolean;
}

export interface LogPageQuery {
	/** Only events of these streams, and of those that begin with `streamPrefix`. */
	streams?: readonly string[];
	streamPrefix?: string;
	/** Inclusive. */
	startMs?: number;
	/** Exclusive. */
	endMs?: number;
	/** Only events behind this place. */
	after?: LogCursor;
	/** Only events before this place. */
	before?: LogCursor;
	/** At most 10,000, which is the default. */
	limit?: number;
	/** Bytes of messages, `maxPageBytes` by default; a page has one event at least if there is one. */
	maxBytes?: number;
	/** The range's first events rather than its last. */
	fromStart: boolean;
	/** Called with a message; must not throw. */
	matches?: (message: string) => boolean;
}

export interface LogPage {
	/** In order, whichever end of the range they are from. */
	events: IngestedLogEvent[];
	/** Where to go on (`after` with fromStart, else `before`); undefined when the range has been read to its end. */
	next: LogCursor | undefined;
}

export interface LogGroupSettings {
	/** Events older than this many days are not read and in time deleted; undefined keeps them. */
	retentionDays: number | undefined;
	tags: Readonly<Record<string, string>>;
}

export interface LogGroup extends LogGroupSettings {
	group: string;
	createdMs: number;
	/** On the disk. */
	storedBytes: number;
}

export interface LogStream {
	stream: string;
	createdMs: number;
	/** Undefined in a stream without events. */
	events: { firstMs: number; lastMs: number; lastIngestedMs: number } | undefined;
}

/** Negative when `a` stands before `b`. */
export function compareCursors(a: LogCursor, b: LogCursor): number {
	return a.timestamp - b.timestamp || a.sequence - b.sequence;
}
