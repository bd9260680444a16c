import { hostname } from "node:os";
import type { Redis } from "ioredis";
import { untilAborted } from "../../base/abort.ts";
import { brokerUnavailable as unavailable } from "../../core/event-source/broker-unavailable.ts";
import type { BrokerAddress, EventSource, SourceSession, Verdict } from "../../core/event-source/event-source.ts";
import { InHand } from "../../core/event-source/in-hand.ts";
import { connectRedis } from "./connection.ts";
import { brokerMessage, claimedEntries, listOf, readEntries, type StreamEntry } from "./entry.ts";

export interface RedisSourceOptions {
	stream: string;
	/** Made, from the stream's beginning, when it is not there; and so is the stream. */
	group: string;
	/** The stream of what was rejected; STREAM.dead when left out. */
	deadLetterStream?: string | undefined;
	/** Milliseconds after which an entry of a consumer that is not heard of is taken over; 60,000 when left out. */
	claimIdleMs?: number | undefined;
}

/** Milliseconds that a read waits at the server. */
const blockMs = 5000;
/** Milliseconds; a consumer that lives says so three times in it. */
const defaultClaimIdleMs = 60_000;
/** XCLAIM's IDLE for one that is given back: older than any bound. */
const releasedIdleMs = 2_000_000_000;

/**
 * One consumer of a stream's group. Its own name is the host's: after a kill it finds at once what it had; XAUTOCLAIM takes over what
 * other dead consumers held. A rejected entry is moved to the dead stream in one script: exactly once.
 */
export class RedisSource implements EventSource {
	readonly #address: BrokerAddress;
	readonly #options: RedisSourceOptions;

	constructor(address: BrokerAddress, options: RedisSourceOptions) {
		this.#address = address;
		this.#options = options;
	}

	async run(session: SourceSession): Promise<void> {
		if (session.signal.aborted) return;
		// A blocked read holds up everything else on its connection.
		const reader = await connectRedis(this.#address);
		const writer = await connectRedis(this.#address).catch((error: unknown) => {
			reader.disconnect();
			throw error;
		});
		const { promise: lost, reject: lose } = Promise.withResolvers<never>();
		lost.catch(() => {});
		const what = `The connection to Redis at ${this.#address.url.host} was lost`;
		writer.once("end", () => lose(unavailable("it was closed", what)));
		reader.once("end", () => {
			if (!session.signal.aborted) lose(unavailable("it was closed", what));
		});
		const group = new GroupSession(reader, writer, session, this.#options, this.#address.clientName, lose);
		try {
			await Promise.race([group.run(), lost]);
		} finally {
			group.end();
			reader.disconnect();
			writer.disconnect();
		}
	}
}

class GroupSession {
	readonly #reader: Redis;
	readonly #writer: Redis;
	readonly #session: SourceSession;
	readonly #options: RedisSourceOptions;
	readonly #consumer: string;
	readonly #lose: (error: unknown) => void;
	readonly #inHand: InHand;
	readonly #ids = new Set<string>();
	readonly #claimIdleMs: number;
	#heartbeat: NodeJS.Timeout | undefined;
	#nextClaimAt = 0;

	constructor(
		reader: Redis,
		writer: Redis,
		session: SourceSession,
		options: RedisSourceOptions,
		clientName: string,
		lose: (error: unknown) => void,
	) {
		this.#reader = reader;
		this.#writer = writer;
		this.#session = session;
		this.#options = options;
		this.#consumer = `${clientName}@${hostname()}`;
		this.#lose = lose;
		this.#inHand = new InHand(session.prefetch);
		this.#claimIdleMs = options.claimIdleMs ?? defaultClaimIdleMs;
	}

	async run(): Promise<void> {
		const { signal } = this.#session;
		try {
			// What the server has given to a read that is cut off is found at the next start.
			await untilAborted(this.#consume(), signal);
		} catch (error) {
			if (!signal.aborted) throw unavailable(error, `Redis stream ${this.#options.stream}`);
		}
		await this.#inHand.empty();
	}

	async #consume(): Promise<void> {
		await this.#makeGroup();
		this.#session.onConnected();
		this.#heartbeat = setInterval(() => void this.#stayAlive(), this.#claimIdleMs / 3);
		await this.#readOwn();
		while (await this.#room()) {
			await this.#claim();
			await this.#readNew();
		}
	}

	end(): void {
		clearInterval(this.#heartbeat);
	}

	async #makeGroup(): Promise<void> {
		const { stream, group } = this.#options;
		try {
			await this.#writer.xgroup("CREATE", stream, group, "0", "MKSTREAM");
		} catch (error) {
			if (!(error instanceof Error && error.message.startsWith("BUSYGROUP"))) throw error;
		}
	}

	/** False when no more are to be taken. */
	async #room(): Promise<boolean> {
		const { signal } = this.#session;
		const stopped = new Promise<void>((resolve) => {
			signal.addEventListener("abort", () => resolve(), { once: true });
			if (signal.aborted || this.#inHand.room > 0) resolve();
		});
		await Promise.race([this.#inHand.roomLeft(), stopped]);
		return !signal.aborted;
	}

	/** What this consumer had before the connection was lost, or the process was killed. */
	async #readOwn(): Promise<void> {
		const { stream, group } = this.#options;
		for (let after = "0"; await this.#room(); ) {
			const args = ["GROUP", group, this.#consumer, "COUNT", this.#inHand.room, "STREAMS", stream, after];
			const entries = readEntries(await this.#reader.callBuffer("XREADGROUP", ...args));
			const last = entries.at(-1);
			if (!last) return;
			after = last.id;
			this.#take(entries, true);
		}
	}

	async #claim(): Promise<void> {
		const now = performance.now();
		if (now < this.#nextClaimAt) return;
		const { stream, group } = this.#options;
		const args = [stream, group, this.#consumer, this.#claimIdleMs, "0-0", "COUNT", this.#inHand.room];
		const reply = listOf(await this.#writer.callBuffer("XAUTOCLAIM", ...args));
		const entries = claimedEntries(reply[1]);
		if (entries.length === 0) this.#nextClaimAt = now + Math.min(this.#claimIdleMs, blockMs);
		this.#take(
			entries.filter(({ id }) => !this.#ids.has(id)),
			true,
		);
	}

	async #readNew(): Promise<void> {
		const { room } = this.#inHand;
		if (room === 0) return;
		const { stream, group } = this.#options;
		const block = Math.max(1, Math.min(blockMs, Math.round(this.#claimIdleMs)));
		const args = ["GROUP", group, this.#consumer, "COUNT", room, "BLOCK", block, "STREAMS", stream, ">"];
		this.#take(readEntries(await this.#reader.callBuffer("XREADGROUP", ...args)), false);
	}

	#take(entries: readonly StreamEntry[], redelivered: boolean): void {
		if (this.#session.signal.aborted) return;
		for (const entry of entries) {
			this.#ids.add(entry.id);
			void this.#inHand
				.during(() => this.#handle(entry, redelivered))
				.catch((error) => this.#lose(unavailable(error, `Redis did not take an answer for ${this.#options.stream}`)));
		}
	}

	async #handle(entry: StreamEntry, redelivered: boolean): Promise<void> {
		const { stream } = this.#options;
		// A deleted entry is still owed an acknowledgement: it has nothing to handle.
		const verdict: Verdict = entry.fields
			? await this.#session.onMessage(brokerMessage(stream, entry, redelivered))
			: { verdict: "acknowledge" };
		this.#ids.delete(entry.id);
		await this.#settle(entry, verdict);
	}

	async #settle({ id, fields = [] }: StreamEntry, verdict: Verdict): Promise<void> {
		const { stream, group, deadLetterStream = `${stream}.dead` } = this.#options;
		if (verdict.verdict === "acknowledge") await this.#writer.xack(stream, group, id);
		else if (verdict.verdict === "reject") {
			const extra = ["deadLetterReason", verdict.reason, "deadLetterId", id];
			await this.#writer.eval(buryScript, 2, stream, deadLetterStream, group, id, ...fields, ...extra);
		} else {
			this.#nextClaimAt = 0;
			const args = [stream, group, this.#consumer, 0, id, "IDLE", releasedIdleMs, "JUSTID"];
			await this.#writer.call("XCLAIM", ...args);
		}
	}

	/** Others take over what nobody has said anything of. */
	async #stayAlive(): Promise<void> {
		if (this.#ids.size === 0) return;
		const { stream, group } = this.#options;
		// A failure here is the connection's, which tells by itself.
		await this.#writer.call("XCLAIM", stream, group, this.#consumer, 0, ...this.#ids, "JUSTID").catch(() => {});
	}
}

/** Only whoever acknowledges it moves it. */
const buryScript = `if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 1 then
	redis.call('XADD', KEYS[2], '*', unpack(ARGV, 3))
end`;
