import { SlipwayError } from "../../base/error.ts";
import {
	type LogEvent,
	type LogGroup,
	type LogGroupSettings,
	type LogPage,
	type LogPageQuery,
	type LogStream,
	maxEmptyStreams,
} from "../../core/log/log-store.ts";
import { GroupBuffer } from "./group-buffer.ts";
import { copySettings, emptySettings, type GroupSettings, writeSettings } from "./group-settings.ts";
import { sequencesPerMs } from "./line.ts";
import { readPage } from "./read-page.ts";
import { Segments } from "./segments.ts";

/** Characters that are written at once instead of with the next tick, so that a burst does not fill the buffer. */
const eagerSize = 4 * 1024 * 1024;
const dayMs = 24 * 60 * 60 * 1000;

export interface GroupLogOptions {
	group: string;
	folder: string;
	now: () => number;
	maxBytes: number;
	/** Bytes of segments that one page goes through. */
	scanBytes: number;
	/** The folder is not touched before. */
	ready?: Promise<unknown>;
}

/** One log group: its waiting lines, its segments and its settings. One piece of work on the folder at a time. */
export class GroupLog {
	readonly #options: GroupLogOptions;
	readonly #buffer: GroupBuffer;
	readonly #segments: Segments;
	#settings: GroupSettings;
	#isStored = false;
	#eager = false;
	#discarded = false;
	#work: Promise<void>;

	constructor(options: GroupLogOptions) {
		this.#options = options;
		this.#buffer = new GroupBuffer(options.now);
		this.#segments = new Segments(options.folder, options.maxBytes);
		this.#settings = emptySettings(options.group, options.now());
		this.#work = (options.ready ?? Promise.resolve()).then(() => undefined);
	}

	/** Of a folder that is there already. */
	async load(settings: GroupSettings | undefined): Promise<void> {
		await this.#segments.load();
		this.#isStored = settings !== undefined;
		this.#settings = settings ?? {
			...emptySettings(this.#options.group, this.#segments.firstMs ?? this.#options.now()),
		};
		this.#buffer.startAfter((this.#segments.lastMs ?? 0) + 1);
	}

	append(stream: string, events: readonly LogEvent[]): void {
		this.#buffer.append(stream, events);
		if (this.#buffer.size < eagerSize || this.#eager) return;
		this.#eager = true;
		// A failure is the next tick's to report: the lines are still there.
		this.flush()
			.catch(() => undefined)
			.finally(() => {
				this.#eager = false;
			});
	}

	/** Lines that wait for the disk, and those that were dropped since it last kept up. */
	get unwritten(): number {
		return this.#buffer.unwritten;
	}

	get retentionDays(): number | undefined {
		return this.#settings.retentionDays;
	}

	/** Resolves when everything appended so far has been written to its file. */
	flush(): Promise<void> {
		return this.#after(() => this.#write());
	}

	async close(): Promise<void> {
		try {
			await this.flush();
		} finally {
			await this.#after(() => this.#segments.seal());
		}
	}

	/** Ends without writing: its folder is about to be deleted. */
	async discard(): Promise<void> {
		this.#discarded = true;
		await this.#after(() => this.#segments.seal());
	}

	async page(query: LogPageQuery): Promise<LogPage> {
		await this.flush();
		const segments = await this.#segments.list();
		const { deleted } = this.#settings;
		const { scanBytes } = this.#options;
		return readPage({ segments, deleted, expiredBeforeMs: this.#expiredBeforeMs(), scanBytes }, query);
	}

	describe(): LogGroup {
		const { group, createdMs, retentionDays, tags } = this.#settings;
		return { group, createdMs, retentionDays, tags: { ...tags }, storedBytes: this.#segments.bytes };
	}

	async update(change: Partial<LogGroupSettings>): Promise<void> {
		await this.#change((settings) => {
			if ("retentionDays" in change) settings.retentionDays = change.retentionDays;
			if (change.tags) settings.tags = { ...change.tags };
		});
		if ("retentionDays" in change) await this.expire();
	}

	async streams(): Promise<LogStream[]> {
		await this.flush();
		const streams = new Map<string, LogStream>();
		const { deleted } = this.#settings;
		for (const [stream, createdMs] of Object.entries(this.#settings.streams))
			streams.set(stream, { stream, createdMs, events: undefined });
		for (const { index } of await this.#segments.list())
			for (const [stream, [firstMs, lastMs, firstIngestedMs, lastIngestedMs]] of index.streams) {
				const hiddenTo = deleted[stream];
				if (hiddenTo !== undefined && lastIngestedMs < hiddenTo / sequencesPerMs) continue;
				const known = streams.get(stream);
				const events = known?.events ?? { firstMs, lastMs, lastIngestedMs };
				streams.set(stream, {
					stream,
					createdMs: known?.createdMs ?? firstIngestedMs,
					events: {
						firstMs: Math.min(events.firstMs, firstMs),
						lastMs: Math.max(events.lastMs, lastMs),
						lastIngestedMs: Math.max(events.lastIngestedMs, lastIngestedMs),
					},
				});
			}
		return [...streams.values()].sort((a, b) => (a.stream < b.stream ? -1 : 1));
	}

	async createStream(stream: string): Promise<void> {
		if ((await this.streams()).some((known) => known.stream === stream))
			throw new SlipwayError("ALREADY_EXISTS", `The log stream '${stream}' exists already`, {
				reason: "LogStreamExists",
			});
		await this.#change((settings) => {
			if (Object.keys(settings.streams).length >= maxEmptyStreams)
				throw new SlipwayError("EXHAUSTED", `A log group has at most ${maxEmptyStreams} streams that were made empty`);
			settings.streams[stream] = this.#options.now();
		});
	}

	async deleteStream(stream: string): Promise<void> {
		if (!(await this.streams()).some((known) => known.stream === stream))
			throw new SlipwayError("NOT_FOUND", `The log stream '${stream}' does not exist`, { reason: "LogStreamUnknown" });
		const written = new Set((await this.#segments.list()).flatMap(({ index }) => [...index.streams.keys()]));
		const deletedTo = this.#buffer.part();
		await this.#change((settings) => {
			delete settings.streams[stream];
			settings.deleted[stream] = deletedTo;
			// Of streams whose last segment is gone nothing is left to hide.
			for (const name of Object.keys(settings.deleted)) if (!written.has(name)) delete settings.deleted[name];
		});
	}

	/** Deletes what is past its retention. */
	async expire(): Promise<void> {
		const before = this.#expiredBeforeMs();
		if (before !== Number.NEGATIVE_INFINITY) await this.#after(() => this.#segments.expire(before));
	}

	#expiredBeforeMs(): number {
		const { retentionDays } = this.#settings;
		return retentionDays === undefined ? Number.NEGATIVE_INFINITY : this.#options.now() - retentionDays * dayMs;
	}

	#change(change: (settings: GroupSettings) => void): Promise<void> {
		return this.#after(async () => {
			const settings = copySettings(this.#settings);
			change(settings);
			await writeSettings(this.#options.folder, settings);
			this.#settings = settings;
			this.#isStored = true;
		});
	}

	/** After what was begun before, whether or not it went well. */
	#after(work: () => Promise<void>): Promise<void> {
		this.#work = this.#work.then(work, work);
		return this.#work;
	}

	async #write(): Promise<void> {
		if (this.#discarded) return;
		this.#buffer.note();
		// What is appended meanwhile is the next flush's, so that this one ends.
		for (let left = this.#buffer.size; left > 0; ) {
			const chunk = this.#buffer.peek();
			if (!chunk) return;
			if (!this.#isStored) {
				await writeSettings(this.#options.folder, this.#settings);
				this.#isStored = true;
			}
			await this.#segments.write(chunk.text, chunk.index, this.#options.now());
			left -= chunk.text.length;
			this.#buffer.shift();
		}
	}
}
