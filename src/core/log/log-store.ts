/**
 * The functions' logs: groups, streams, events (CloudWatch Logs' words). Appends are accepted at once and written behind,
 * in order; a reader sees a line within a second. A crash may lose the last second of lines, never tear one.
 */
export interface LogStore extends AsyncDisposable {
	/** Never blocks and never throws; lines past the bound are counted and said so in the log itself. */
	append(group: string, stream: string, events: readonly LogEvent[]): void;
	/** Events in time order, `limit` of them from the end of the range unless `fromStart`. An unknown group is NOT_FOUND. */
	read(group: string, query: LogQuery): Promise<StoredLogEvent[]>;
	/** Yields events appended from now on until aborted. */
	follow(group: string, options: { stream?: string; signal: AbortSignal }): AsyncIterable<StoredLogEvent>;
	listGroups(): Promise<string[]>;
	listStreams(group: string): Promise<{ stream: string; firstMs: number; lastMs: number }[]>;
	deleteGroup(group: string): Promise<void>;
}

export interface LogEvent {
	/** Milliseconds since the epoch. */
	timestamp: number;
	/** Without its final newline. */
	message: string;
}

export interface StoredLogEvent extends LogEvent {
	stream: string;
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
