import { createHash } from "node:crypto";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { SlipwayError, systemCode } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import {
	type LogEvent,
	type LogGroup,
	type LogGroupSettings,
	type LogPage,
	type LogPageQuery,
	type LogQuery,
	type LogStore,
	type LogStream,
	maxReadBytes,
	maxReadEvents,
	type StoredLogEvent,
} from "../../core/log/log-store.ts";
import { Followers } from "./followers.ts";
import { GroupLog } from "./group-log.ts";
import { type GroupSettings, readSettings } from "./group-settings.ts";

export interface FsLogStoreOptions {
	root: string;
	clock: Clock;
	log: Log;
	/** Bytes kept of one group; the oldest segments go first. */
	maxGroupBytes?: number;
	/** Bytes of segments that one page goes through before it says where to go on. */
	maxScanBytes?: number;
}

/** Milliseconds between writes: a line is on the disk, and the daemon's crash loses at most this much. */
const flushMs = 100;
/** Milliseconds between looks for expired segments: readers pass them over at once, this only frees the disk. */
const expireMs = 60_000;
const defaultMaxGroupBytes = 256 * 1024 * 1024;
/** Some 0.2 s of work, in turns of 2 ms. */
const defaultMaxScanBytes = 32 * 1024 * 1024;
/** Bytes of a folder's name, of the 255 that file systems take; longer names of groups are hashed. */
const maxFolderName = 200;
/** What a group's folder is called while it is deleted; no encoded name begins so. */
const deletedPrefix = "!deleted-";

/** A folder a group, in it segments of JSON lines. Written behind; see LogStore for what that promises. */
export class FsLogStore implements LogStore {
	readonly #options: FsLogStoreOptions;
	readonly #groups = new Map<string, GroupLog>();
	/** Deletions under way, by group. */
	readonly #deleting = new Map<string, Promise<unknown>>();
	readonly #followers: Followers;
	#deletions = 0;
	#cancelTick: () => void;
	#expiredMs: number;
	#flushing: Promise<void> = Promise.resolve();

	private constructor(options: FsLogStoreOptions) {
		this.#options = options;
		this.#followers = new Followers(() => options.clock.now());
		this.#expiredMs = options.clock.monotonic();
		this.#cancelTick = options.clock.after(flushMs, () => this.#tick());
	}

	static async open(options: FsLogStoreOptions): Promise<FsLogStore> {
		await mkdir(options.root, { recursive: true });
		const store = new FsLogStore(options);
		for (const folder of await readdir(options.root)) await store.#load(folder);
		return store;
	}

	append(group: string, stream: string, events: readonly LogEvent[]): void {
		if (events.length === 0) return;
		this.#group(group).append(stream, events);
		this.#followers.tell(group, stream, events);
	}

	flush(group: string): Promise<void> {
		return this.#whenKnown(group, (known) => known.flush());
	}

	async read(group: string, query: LogQuery): Promise<StoredLogEvent[]> {
		const { stream, limit = maxReadEvents, fromStart = false, ...range } = query;
		let left = Math.min(limit, maxReadEvents);
		const pageQuery: LogPageQuery = { ...range, fromStart, maxBytes: maxReadBytes };
		if (stream !== undefined) pageQuery.streams = [stream];
		const pages: StoredLogEvent[][] = [];
		for (let next: LogPage["next"], isFirst = true; left > 0 && (isFirst || next); isFirst = false) {
			if (next) pageQuery[fromStart ? "after" : "before"] = next;
			const page = await this.page(group, { ...pageQuery, limit: left });
			pages.push(page.events.map(({ timestamp, stream, message }) => ({ timestamp, stream, message })));
			left -= page.events.length;
			next = page.next;
		}
		return (fromStart ? pages : pages.reverse()).flat();
	}

	page(group: string, query: LogPageQuery): Promise<LogPage> {
		return this.#whenKnown(group, (known) => known.page(query));
	}

	follow(group: string, options: { stream?: string; signal: AbortSignal }): AsyncIterable<StoredLogEvent> {
		return this.#followers.follow(group, options);
	}

	async createGroup(group: string, settings: Partial<LogGroupSettings> = {}): Promise<void> {
		if (this.#groups.has(group))
			throw new SlipwayError("ALREADY_EXISTS", `The log group '${group}' exists already`, { reason: "LogGroupExists" });
		const made = this.#group(group);
		try {
			await made.update(settings);
		} catch (error) {
			// Unless a line has come meanwhile: then it is there, and waits for the disk as lines do.
			if (made.unwritten === 0) this.#groups.delete(group);
			throw error;
		}
	}

	describeGroup(group: string): Promise<LogGroup> {
		return this.#whenKnown(group, async (known) => known.describe());
	}

	updateGroup(group: string, change: Partial<LogGroupSettings>): Promise<void> {
		return this.#whenKnown(group, (known) => known.update(change));
	}

	async listGroups(): Promise<string[]> {
		return [...this.#groups.keys()].sort();
	}

	createStream(group: string, stream: string): Promise<void> {
		return this.#whenKnown(group, (known) => known.createStream(stream));
	}

	describeStreams(group: string): Promise<LogStream[]> {
		return this.#whenKnown(group, (known) => known.streams());
	}

	async listStreams(group: string): Promise<{ stream: string; firstMs: number; lastMs: number }[]> {
		const streams = await this.describeStreams(group);
		return streams.flatMap(({ stream, events }) =>
			events ? [{ stream, firstMs: events.firstMs, lastMs: events.lastMs }] : [],
		);
	}

	deleteStream(group: string, stream: string): Promise<void> {
		return this.#whenKnown(group, (known) => known.deleteStream(stream));
	}

	async deleteGroup(group: string): Promise<void> {
		const known = this.#existing(group);
		this.#groups.delete(group);
		const deletion = this.#delete(group, known);
		// Lines that come meanwhile make the group anew: in its folder, once this one has left it.
		const settled = deletion.catch(() => undefined);
		this.#deleting.set(group, settled);
		try {
			await deletion;
		} finally {
			if (this.#deleting.get(group) === settled) this.#deleting.delete(group);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#cancelTick();
		await this.#flushing;
		// One that was under way has set the next.
		this.#cancelTick();
		await Promise.all(this.#deleting.values());
		for (const [name, group] of this.#groups)
			try {
				await group.close();
			} catch (error) {
				// A full disk must not keep the daemon from an orderly end: the lines are lost, as in a crash, and said so.
				this.#options.log.error("The last lines of a function's log could not be written", {
					error,
					code: systemCode(error),
					group: name,
					lines: group.unwritten,
				});
			}
	}

	async #load(folder: string): Promise<void> {
		const path = join(this.#options.root, folder);
		if (folder.startsWith(deletedPrefix)) return rm(path, { recursive: true, force: true });
		const settings = await this.#settings(path);
		const name = settings?.group ?? Buffer.from(folder, "base64url").toString();
		if (this.#folder(name) !== path) return; // Not ours.
		await this.#group(name).load(settings);
	}

	async #settings(path: string): Promise<GroupSettings | undefined> {
		try {
			return await readSettings(path);
		} catch (error) {
			if (!(error instanceof SyntaxError)) throw error;
			// Nothing here writes such a file. The group's lines are worth more than its retention and tags.
			this.#options.log.error("A log group's settings can't be read and are left out", { error, path });
			return undefined;
		}
	}

	async #delete(group: string, known: GroupLog): Promise<void> {
		await known.discard();
		const gone = join(this.#options.root, `${deletedPrefix}${process.pid}-${++this.#deletions}`);
		try {
			await rename(this.#folder(group), gone);
		} catch (error) {
			// Nothing of it has been written yet.
			if (systemCode(error) !== "ENOENT") throw error;
		}
		await rm(gone, { recursive: true, force: true });
	}

	#group(name: string): GroupLog {
		let group = this.#groups.get(name);
		if (!group) {
			const { clock, maxGroupBytes = defaultMaxGroupBytes, maxScanBytes = defaultMaxScanBytes } = this.#options;
			const ready = this.#deleting.get(name);
			const folder = this.#folder(name);
			const now = () => clock.now();
			const bounds = { maxBytes: maxGroupBytes, scanBytes: maxScanBytes };
			group = new GroupLog({ group: name, folder, now, ...bounds, ...(ready && { ready }) });
			this.#groups.set(name, group);
		}
		return group;
	}

	#existing(name: string): GroupLog {
		const group = this.#groups.get(name);
		if (!group)
			throw new SlipwayError("NOT_FOUND", `The log group '${name}' does not exist`, { reason: "LogGroupUnknown" });
		return group;
	}

	async #whenKnown<T>(name: string, use: (group: GroupLog) => Promise<T>): Promise<T> {
		return use(this.#existing(name));
	}

	#folder(group: string): string {
		const encoded = Buffer.from(group).toString("base64url");
		const name =
			encoded.length <= maxFolderName ? encoded : `~${createHash("sha256").update(group).digest("base64url")}`;
		return join(this.#options.root, name);
	}

	#tick(): void {
		this.#flushing = this.#flushAll().finally(() => {
			this.#cancelTick = this.#options.clock.after(flushMs, () => this.#tick());
		});
	}

	async #flushAll(): Promise<void> {
		const isExpiring = this.#options.clock.monotonic() - this.#expiredMs >= expireMs;
		if (isExpiring) this.#expiredMs = this.#options.clock.monotonic();
		for (const group of this.#groups.values()) {
			try {
				if (group.unwritten > 0) await group.flush();
				if (isExpiring) await group.expire();
			} catch (error) {
				// The lines stay in their bounded buffer and are tried again; past the bound they are counted as dropped.
				this.#options.log.error("Function logs could not be written", { error, code: systemCode(error) });
			}
		}
	}
}
