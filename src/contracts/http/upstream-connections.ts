/** The connections that are kept for each instance, in either protocol. They are gone when the instance is. */
import type { ClientHttp2Session, ClientSessionOptions } from "node:http2";
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { AdmittingInstance } from "../../core/service/request-admission.ts";
import { Http1Connection } from "./upstream-http1-connection.ts";

/** Idle connections that are kept for one instance; more requests at once make more, which close again. */
const maxIdle = 64;
/** Of an idle connection, milliseconds: below the 5 s after which many servers (Node's, until lately) close theirs, which would meet a request on its way. */
const maxIdleMs = 4_000;
/** A connection is given up this long before its container says that it will close it, milliseconds (RFC 9112, 9.5). */
const idleMarginMs = 1_000;
/** Bytes that an h2c container may send on one stream, or on all of them, before the client has taken any. */
const streamWindowBytes = 256 * 1024;
const sessionWindowBytes = 4 * 1024 * 1024;

/** Both sides of Node's module know it, the types for one only. */
interface SingleValueOption {
	strictSingleValueFields: boolean;
}
const http2Options: ClientSessionOptions & SingleValueOption = {
	settings: { enablePush: false, initialWindowSize: streamWindowBytes },
	maxHeaderListPairs: 512,
	// A field that a client sends twice is passed on as it came, as over HTTP/1.
	strictSingleValueFields: false,
};

export class UpstreamConnections {
	readonly #instances = new Map<string, InstanceConnections>();
	readonly #clock: Clock;
	readonly #log: Log;

	constructor(clock: Clock, log: Log) {
		this.#clock = clock;
		this.#log = log;
	}

	of(instance: AdmittingInstance): InstanceConnections {
		const known = this.#instances.get(instance.id);
		if (known) return known;
		const made = new InstanceConnections(instance, this.#clock, this.#log);
		if (instance.gone.aborted) {
			made.close();
			return made;
		}
		this.#instances.set(instance.id, made);
		instance.gone.addEventListener(
			"abort",
			() => {
				this.#instances.delete(instance.id);
				made.close();
			},
			{ once: true },
		);
		return made;
	}

	get size(): number {
		return this.#instances.size;
	}

	/** Requests under way go on. */
	close(): void {
		for (const connections of this.#instances.values()) connections.close();
		this.#instances.clear();
	}
}

export class InstanceConnections {
	readonly #instance: AdmittingInstance;
	readonly #clock: Clock;
	readonly #said = new Set<string>();
	/** The one that was used last is used next, so that what is too many stays idle. */
	readonly #idle: Http1Connection[] = [];
	#cancelSweep: (() => void) | undefined;
	#session: Promise<ClientHttp2Session> | undefined;
	#closed = false;
	readonly #log: Log;
	/** It has said more than it was asked for: on a kept connection that could pass for the answer to somebody else's request. */
	#unasked = false;

	constructor(instance: AdmittingInstance, clock: Clock, log: Log) {
		this.#instance = instance;
		this.#clock = clock;
		this.#log = log;
	}

	/** Whether this is the first failure of its kind: what a container does to every request is logged once. */
	isNews(failure: string): boolean {
		if (this.#said.has(failure)) return false;
		this.#said.add(failure);
		return true;
	}

	/**
	 * A kept connection, if there is one. `surely`: one that the container had not closed a moment ago, for a request that must not be
	 * sent twice; a system call more.
	 */
	takeIdle(surely: boolean): Http1Connection | undefined {
		if (this.#idle.length === 0) return undefined;
		const now = this.#clock.monotonic();
		for (let connection = this.#idle.pop(); connection; connection = this.#idle.pop()) {
			if (connection.keepUntil > now && (!surely || connection.isOpen)) return connection;
			connection.destroy();
		}
		return undefined;
	}

	/** Rejects with the system's error. */
	async connect(): Promise<Http1Connection> {
		return new Http1Connection(await this.#instance.connect(), this.#forgetIdle);
	}

	/** After an answer: for the next request, if it can have one. */
	release(connection: Http1Connection): void {
		if (!connection.release()) return;
		const keepMs = Math.min(maxIdleMs, connection.keptMs - idleMarginMs);
		if (this.#closed || this.#unasked || this.#idle.length >= maxIdle || keepMs <= 0) return connection.destroy();
		connection.keepUntil = this.#clock.monotonic() + keepMs;
		this.#idle.push(connection);
		this.#cancelSweep ??= this.#clock.after(maxIdleMs, this.#sweep);
	}

	/** For HTTP/2 with prior knowledge (RFC 9113, 3.3): one for all requests until it ends or says that it will. */
	session(): Promise<ClientHttp2Session> {
		this.#session ??= this.#connectHttp2();
		return this.#session;
	}

	/** Idle connections at once, busy ones when their request is over. */
	close(): void {
		this.#closed = true;
		this.#cancelSweep?.();
		this.#cancelSweep = undefined;
		for (const connection of this.#idle.splice(0)) connection.destroy();
		this.#session?.then(
			(session) => session.close(),
			() => {},
		);
		this.#session = undefined;
	}

	#forgetIdle = (connection: Http1Connection, unasked: boolean): void => {
		const at = this.#idle.indexOf(connection);
		if (at >= 0) this.#idle.splice(at, 1);
		if (!unasked || this.#unasked) return;
		this.#unasked = true;
		for (const other of this.#idle.splice(0)) other.destroy();
		this.#log.warn("A container says more than it was asked for: its connections are not kept from now on", {
			instance: this.#instance.id,
		});
	};

	/** One timer for all of them. */
	#sweep = (): void => {
		const now = this.#clock.monotonic();
		this.#cancelSweep = undefined;
		for (const connection of this.#idle.slice())
			if (connection.keepUntil <= now) {
				connection.destroy();
				this.#forgetIdle(connection, false);
			}
		if (this.#idle.length > 0) this.#cancelSweep = this.#clock.after(maxIdleMs / 4, this.#sweep);
	};

	async #connectHttp2(): Promise<ClientHttp2Session> {
		const forget = () => {
			if (this.#session === promise) this.#session = undefined;
		};
		// After this function's first turn, which it cannot see.
		await Promise.resolve();
		const promise = this.#session;
		try {
			const socket = await this.#instance.connect();
			const options: ClientSessionOptions & SingleValueOption = { ...http2Options, createConnection: () => socket };
			const session = process.getBuiltinModule("node:http2").connect("http://instance", options);
			session.once("connect", () => session.setLocalWindowSize(sessionWindowBytes));
			session.once("close", forget);
			session.once("goaway", forget);
			session.once("error", forget);
			session.on("error", () => {});
			return session;
		} catch (error) {
			forget();
			throw error;
		}
	}
}
