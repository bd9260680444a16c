import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../../base/clock.ts";
import type { LogSource, SessionSetup } from "../../core/invocation/function-contract.ts";
import type { LifecycleEvent } from "../../core/invocation/lifecycle.ts";
import { apiErrors, readJson, sendError, sendJson } from "./api-http.ts";
import { maxControlBytes, maxEarlyBytes, maxEarlyRecords } from "./limits.ts";
import { TelemetryBuffer } from "./telemetry-buffer.ts";
import { openDestination } from "./telemetry-destination.ts";
import { logsApiRecords, type PlatformRecord, platformRecord } from "./telemetry-records.ts";
import { parseSubscription, type Subscription, type TelemetryApi } from "./telemetry-subscription.ts";

type Entry = { atMs: number; event: LifecycleEvent } | { atMs: number; source: LogSource; line: string };

interface Subscriber {
	name: string;
	subscription: Subscription;
	buffer: TelemetryBuffer;
}

const closedErrors: Record<TelemetryApi, [type: string, message: string]> = {
	telemetry: ["Telemetry.SubscriptionClosed", "Telemetry API subscription is closed already"],
	logs: ["Logs.SubscriptionClosed", "Logs API subscription is closed already"],
};

/** One sandbox's side of the Telemetry and Logs APIs. Until init is over what happens is kept for those who subscribe later. */
export class TelemetryCalls {
	readonly #setup: SessionSetup;
	readonly #clock: Clock;
	readonly #onLifecycle: (event: LifecycleEvent) => void;
	readonly #subscribers = new Map<string, Subscriber>();
	#early: Entry[] | undefined = [];
	#earlyBytes = 0;

	constructor(setup: SessionSetup, clock: Clock, onLifecycle: (event: LifecycleEvent) => void) {
		this.#setup = setup;
		this.#clock = clock;
		this.#onLifecycle = onLifecycle;
	}

	/** PUT /telemetry and PUT /logs, by an extension that has registered. */
	async subscribe(api: TelemetryApi, name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
		const body = await readJson(request, response, maxControlBytes, apiErrors.invalid);
		if (!body) return;
		if (!this.#early) return sendError(response, apiErrors.forbidden(...closedErrors[api]));
		const subscription = parseSubscription(api, body.value);
		if (typeof subscription === "string") return sendError(response, apiErrors.invalid(subscription));
		const former = this.#subscribers.get(name);
		if (former && former.subscription.api !== api)
			return sendError(
				response,
				apiErrors.invalid("An extension subscribes to the Telemetry or the Logs API, not to both"),
			);
		former?.buffer.close();
		const subscriber: Subscriber = { name, subscription, buffer: this.#buffer(subscription) };
		this.#subscribers.set(name, subscriber);
		// What a former subscription of it got already is not sent again.
		if (!former) for (const entry of this.#early) this.#hand(subscriber, entry);
		sendJson(response, 200, Buffer.from('"OK"'));
		this.#onLifecycle({ type: "subscription", api, name, types: subscription.types, atMs: this.#clock.now() });
	}

	/** Init is over: nobody subscribes any more. */
	closeSubscriptions(): void {
		this.#early = undefined;
	}

	onLifecycle(event: LifecycleEvent): void {
		if (this.#early || this.#subscribers.size > 0) this.#add({ atMs: event.atMs, event }, 0);
	}

	onLog(source: LogSource, lines: readonly string[]): void {
		if (!this.#early && this.#subscribers.size === 0) return;
		const atMs = this.#clock.now();
		for (const line of lines) this.#add({ atMs, source, line }, line.length);
	}

	/** Sends everything that waits for one extension. */
	async flush(name: string): Promise<void> {
		await this.#subscribers.get(name)?.buffer.flush();
	}

	close(): void {
		this.#early = undefined;
		for (const { buffer } of this.#subscribers.values()) buffer.close();
	}

	#add(entry: Entry, bytes: number): void {
		if (this.#early && this.#early.length < maxEarlyRecords && this.#earlyBytes + bytes <= maxEarlyBytes) {
			this.#early.push(entry);
			this.#earlyBytes += bytes;
		}
		for (const subscriber of this.#subscribers.values()) this.#hand(subscriber, entry);
	}

	#hand({ subscription, buffer }: Subscriber, entry: Entry): void {
		const type = "event" in entry ? "platform" : entry.source;
		if (!subscription.types.includes(type)) return;
		const time = new Date(entry.atMs).toISOString();
		if ("event" in entry)
			for (const { type, record } of this.#platformRecords(subscription, entry.event))
				buffer.add(JSON.stringify({ time, type, record }));
		else buffer.add(`{"time":"${time}","type":"${type}","record":${this.#logRecord(subscription, entry.line)}}`);
	}

	#platformRecords({ api, schemaVersion }: Subscription, event: LifecycleEvent): PlatformRecord[] {
		const { revision, logStream } = this.#setup;
		if (api === "logs") return logsApiRecords(event, revision, schemaVersion as "2020-08-15" | "2021-03-18", logStream);
		const record = platformRecord(event, revision, logStream);
		return record ? [record] : [];
	}

	/** From schema 2022-12-13 on a line of a function that logs JSON is an object, where it is one. */
	#logRecord({ api, schemaVersion }: Subscription, line: string): string {
		const asObject =
			api === "telemetry" && schemaVersion !== "2022-07-01" && this.#setup.revision.configuration.logFormat === "JSON";
		return asObject && isJsonObject(line) ? line : JSON.stringify(line);
	}

	#buffer(subscription: Subscription): TelemetryBuffer {
		const destination = openDestination(subscription.destination, this.#setup.connect);
		return new TelemetryBuffer(subscription.buffering, destination, this.#clock, ({ reason, records, bytes }) =>
			this.#onLifecycle({
				type: "logs-dropped",
				reason,
				droppedRecords: records,
				droppedBytes: bytes,
				atMs: this.#clock.now(),
			}),
		);
	}
}

function isJsonObject(line: string): boolean {
	if (!line.startsWith("{")) return false;
	try {
		JSON.parse(line);
		return true;
	} catch {
		return false;
	}
}
