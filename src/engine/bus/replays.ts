import { isSlipwayError } from "../../base/error.ts";
import type { Append, StoredMessage } from "../../core/message-log/message-log.ts";
import { commitsOf } from "../delivery/commits.ts";
import type { Catalog } from "./catalog.ts";
import { readEnvelope, withReplayName } from "./envelope.ts";
import { archiveLane, replayArn } from "./names.ts";
import type { BusDeps } from "./ports.ts";
import { route } from "./route.ts";
import type { BusStatistics, EventHeaders, ReplayRecord } from "./types.ts";

/** Events read at once, of 1 MiB each at most: after each page the place is on the disk. */
const pageEvents = 32;
/** A replay that goes on after a kill sends none of its events twice to a target within so many milliseconds: a day. */
const replayWindowMs = 86_400_000;
/** Milliseconds until a page that could not be written is tried again. */
const failureDelayMs = 5_000;

interface ReplaysDeps extends BusDeps {
	catalog: Catalog;
	statistics: BusStatistics;
	/** One change of what is configured after the other. */
	change<T>(work: () => Promise<T>): Promise<T>;
}

/** Sends what archives have kept to the rules of their bus again. Goes on after a kill where the last page ended. */
export class Replays implements AsyncDisposable {
	readonly #deps: ReplaysDeps;
	readonly #stop = new AbortController();
	readonly #running = new Map<string, Promise<void>>();

	constructor(deps: ReplaysDeps) {
		this.#deps = deps;
	}

	/** Those that were under way when the process before ended. */
	resume(): void {
		for (const { name, endedMs } of this.#deps.catalog.replays.values()) if (endedMs === undefined) this.run(name);
	}

	run(name: string): void {
		if (this.#stop.signal.aborted || this.#running.has(name)) return;
		const done = this.#run(name).finally(() => this.#running.delete(name));
		this.#running.set(name, done);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#stop.abort();
		await Promise.all(this.#running.values());
	}

	async #run(name: string): Promise<void> {
		while (!this.#stop.signal.aborted) {
			try {
				if (await this.#page(name)) return;
			} catch (error) {
				if (isSlipwayError(error, "NOT_FOUND")) return this.#end(name, "FAILED", error.message);
				this.#deps.logger.warn("A page of a replay failed and is tried again", { replay: name, error });
				await this.#deps.clock.sleep(failureDelayMs, this.#stop.signal).catch(() => {});
			}
		}
	}

	/** Whether it is over. */
	async #page(name: string): Promise<boolean> {
		const { catalog, log, clock } = this.#deps;
		const replay = catalog.replay(name);
		if (replay.state === "CANCELLING") return this.#ended(name, "CANCELLED");
		catalog.archive(replay.archive);
		const { after, fromMs, toMs } = replay;
		const page = await log.scan(archiveLane(replay.archive), { limit: pageEvents, after, fromMs, toMs });
		const changes = page.flatMap((message) => this.#replayed(replay, message));
		for (const commit of commitsOf(changes)) await log.commit(commit);
		this.#deps.statistics.accepted += page.length;
		const last = page.at(-1);
		if (!last) return this.#ended(name, "COMPLETED");
		await this.#update(name, ({ state, replayed }) => ({
			// Somebody may have cancelled it while its page was written.
			state: state === "CANCELLING" ? state : "RUNNING",
			after: last.sequence,
			replayed: replayed + page.length,
			lastEventMs: last.sentMs,
		}));
		await clock.sleep(0, this.#stop.signal).catch(() => {});
		return false;
	}

	#replayed(replay: ReplayRecord, message: StoredMessage): Append[] {
		const text = withReplayName(Buffer.from(message.body).toString(), replay.name);
		const headers = { ...(message.headers as unknown as EventHeaders), ingestedMs: Math.trunc(this.#deps.clock.now()) };
		const key = `${replayArn(this.#deps, replay.name)}@${replay.startedMs}#${message.sequence}`;
		return route(this.#deps, replay.bus, readEnvelope(text), headers, {
			replay: { rules: replay.rules },
			key: { key, windowMs: replayWindowMs },
		});
	}

	async #ended(name: string, state: "COMPLETED" | "CANCELLED"): Promise<true> {
		await this.#end(name, state);
		return true;
	}

	async #end(name: string, state: "COMPLETED" | "CANCELLED" | "FAILED", stateReason?: string): Promise<void> {
		await this.#update(name, () => ({ state, stateReason, endedMs: Math.trunc(this.#deps.clock.now()) }));
	}

	#update(name: string, changes: (replay: ReplayRecord) => Partial<ReplayRecord>): Promise<void> {
		const { catalog, change } = this.#deps;
		return change(async () => {
			const replay = catalog.replays.get(name);
			if (replay) await catalog.putReplay({ ...replay, ...changes(replay) });
		});
	}
}
