import { EventEmitter } from "node:events";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { SlipwayError, systemCode } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { LogEvent, LogQuery, LogStore, StoredLogEvent } from "../../core/log/log-store.ts";
import { GroupLog } from "./group-log.ts";

export interface FsLogStoreOptions {
	root: string;
	clock: Clock;
	log: Log;
	/** Bytes kept of one group; the oldest segments go first. */
	maxGroupBytes?: number;
}

/** Milliseconds between writes: a line is on the disk, and the daemon's crash loses at most this much. */
const flushMs = 100;
/** Events that a follower may be behind; past it they are counted and passed over. */
const maxFollowerEvents = 10_000;
const defaultMaxGroupBytes = 256 * 1024 * 1024;
/** The most events that one read returns, and its default (core/log). */
const maxQueryEvents = 10_000;

/** A folder a group, in it segments of JSON lines. Written behind; see LogStore for what that promises. */
export class FsLogStore implements LogStore {
	readonly #options: FsLogStoreOptions;
	readonly #groups = new Map<string, GroupLog>();
	readonly #appended = new EventEmitter();
	#cancelFlush: () => void;
	#flushing: Promise<void> = Promise.resolve();

	private constructor(options: FsLogStoreOptions) {
		this.#options = options;
		this.#appended.setMaxListeners(0);
		this.#cancelFlush = options.clock.after(flushMs, () => this.#tick());
	}

	static async open(options: FsLogStoreOptions): Promise<FsLogStore> {
		await mkdir(options.root, { recursive: true });
		const store = new FsLogStore(options);
		for (const folder of await readdir(options.root)) store.#group(Buffer.from(folder, "base64url").toString());
		return store;
	}

	append(group: string, stream: string, events: readonly LogEvent[]): void {
		if (events.length === 0) return;
		this.#group(group).append(stream, events);
		if (this.#appended.listenerCount(group) > 0)
			for (const event of events) this.#appended.emit(group, { ...event, stream });
	}

	async read(group: string, query: LogQuery): Promise<StoredLogEvent[]> {
		const known = this.#existing(group);
		await known.flush();
		const limit = Math.min(query.limit ?? maxQueryEvents, maxQueryEvents);
		return known.read({ ...query, limit });
	}

	async *follow(group: string, options: { stream?: string; signal: AbortSignal }): AsyncIterable<StoredLogEvent> {
		const { stream, signal } = options;
		const waiting: StoredLogEvent[] = [];
		let lost = 0;
		let wake = () => {};
		const take = (event: StoredLogEvent) => {
			if (stream !== undefined && event.stream !== stream) return;
			if (waiting.length < maxFollowerEvents) waiting.push(event);
			else lost++;
			wake();
		};
		const onAbort = () => wake();
		this.#appended.on(group, take);
		signal.addEventListener("abort", onAbort);
		try {
			while (!signal.aborted) {
				yield* waiting.splice(0);
				if (lost > 0) yield this.#lostNotice(stream, lost);
				lost = 0;
				if (waiting.length > 0 || signal.aborted) continue;
				await new Promise<void>((resolve) => {
					wake = resolve;
				});
			}
		} finally {
			this.#appended.off(group, take);
			signal.removeEventListener("abort", onAbort);
		}
	}

	#lostNotice(stream: string | undefined, lost: number): StoredLogEvent {
		const message = `[slipway] ${lost} lines are not shown here: this reader does not keep up (they are in the log)`;
		return { timestamp: this.#options.clock.now(), stream: stream ?? "", message };
	}

	async listGroups(): Promise<string[]> {
		return [...this.#groups.keys()].sort();
	}

	async listStreams(group: string): Promise<{ stream: string; firstMs: number; lastMs: number }[]> {
		const known = this.#existing(group);
		await known.flush();
		return known.streams();
	}

	async deleteGroup(group: string): Promise<void> {
		const known = this.#existing(group);
		this.#groups.delete(group);
		await known.close();
		await rm(this.#folder(group), { recursive: true, force: true });
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#cancelFlush();
		await this.#flushing;
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

	#group(name: string): GroupLog {
		let group = this.#groups.get(name);
		if (!group) {
			group = new GroupLog(
				this.#folder(name),
				this.#options.clock,
				this.#options.maxGroupBytes ?? defaultMaxGroupBytes,
			);
			this.#groups.set(name, group);
		}
		return group;
	}

	#existing(name: string): GroupLog {
		const group = this.#groups.get(name);
		if (!group) throw new SlipwayError("NOT_FOUND", `The log group '${name}' does not exist`);
		return group;
	}

	#folder(group: string): string {
		return join(this.#options.root, Buffer.from(group).toString("base64url"));
	}

	#tick(): void {
		this.#flushing = this.#flushAll().finally(() => {
			this.#cancelFlush = this.#options.clock.after(flushMs, () => this.#tick());
		});
	}

	async #flushAll(): Promise<void> {
		for (const group of this.#groups.values()) {
			try {
				await group.flush();
			} catch (error) {
				// The lines stay in their bounded buffer and are tried again; past the bound they are counted as dropped.
				this.#options.log.error("Function logs could not be written", { error, code: systemCode(error) });
			}
		}
	}
}
