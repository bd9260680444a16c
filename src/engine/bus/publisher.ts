import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { timeOrderedUuid } from "../../base/ids.ts";
import type { Append } from "../../core/message-log/message-log.ts";
import { maxCommitBytes, maxCommitChanges } from "../delivery/commits.ts";
import type { Catalog } from "./catalog.ts";
import { busEventOfCloudEvent, isWholeCloudEvent } from "./cloud-event-mapping.ts";
import { entryError, makeEnvelope, readEnvelope } from "./envelope.ts";
import { fanOutOf } from "./fan-out.ts";
import { maxUnmatched } from "./limits.ts";
import type { BusDeps, RuleTick } from "./ports.ts";
import { route } from "./route.ts";
import type { BusEvent, BusStatistics, Envelope, EventHeaders, PublishResult } from "./types.ts";

type Deps = BusDeps & { catalog: Catalog; statistics: BusStatistics };

/** An event that may be accepted, with what that commits. */
interface Taken {
	envelope: Envelope;
	appends: Append[];
}

type Refusal = { error: { code: string; message: string } };

/** Takes events in: what it has answered with an id is on the disk, in the lane of each target that gets it (or fan-out.ts). */
export class Publisher {
	readonly #deps: Deps;
	/** Buses by the ids of events that nobody took, the oldest first. */
	readonly #unmatched = new Map<string, string>();

	constructor(deps: Deps) {
		this.#deps = deps;
	}

	/**
	 * In the order of the events. Each is committed whole or not at all, with the others or, where the log refuses those together, alone.
	 * Throws what fails the commit of all of them: then it may be that some are on the disk (UNAVAILABLE), as with AWS.
	 */
	async publish(bus: string, events: readonly BusEvent[]): Promise<PublishResult[]> {
		this.#deps.catalog.bus(bus);
		const taken = events.map((event) => this.#take(bus, event));
		const accepted = taken.filter((one): one is Taken => "appends" in one);
		const refused = new Map<Taken, unknown>();
		for (const group of groupsOf(accepted)) await this.#commitGroup(group, refused);
		const [first] = refused.values();
		if (refused.size > 0 && refused.size === taken.length && !isOwnFault(first)) throw first;
		return taken.map((one) => {
			if (!("appends" in one)) return one;
			return refused.has(one) ? refusalOf(refused.get(one)) : this.#accepted(bus, one);
		});
	}

	/** The bus that has accepted the event lately, where no rule and no archive took it. */
	unmatched(id: string): string | undefined {
		return this.#unmatched.get(id);
	}

	/** The caller commits them with what it settles. INVALID for an event that PutEvents would not take. */
	appends(bus: string, event: BusEvent): Append[] {
		const taken = this.#take(bus, event);
		if ("error" in taken) throw new SlipwayError("INVALID", taken.error.message);
		this.#accepted(bus, taken);
		return taken.appends;
	}

	/** A rule's schedule has no pattern: each of its targets gets the tick. */
	tick(lanes: readonly string[], tick: RuleTick, newId: () => string): Append[] {
		const envelope = readEnvelope(JSON.stringify(tick.event));
		const headers: EventHeaders = { ingestedMs: Math.trunc(this.#deps.clock.now()) };
		this.#deps.statistics.accepted++;
		return lanes.map((lane) => ({
			change: "append",
			lane,
			id: newId(),
			correlation: envelope.id,
			body: Buffer.from(envelope.text),
			headers: { ...headers },
		}));
	}

	#take(bus: string, event: BusEvent): Taken | Refusal {
		const whole = event.cloudEvent && isWholeCloudEvent(event.cloudEvent);
		const own = whole ? busEventOfCloudEvent(event.cloudEvent as never, event.traceId) : event;
		const error = entryError(own);
		if (error) return { error };
		const ingestedMs = Math.trunc(this.#deps.clock.now());
		const envelope = makeEnvelope(own, own.id ?? timeOrderedUuid(ingestedMs, this.#deps.ids), ingestedMs, this.#deps);
		const headers: EventHeaders = {
			ingestedMs,
			...(own.traceId !== undefined && { traceId: own.traceId }),
			...(own.cloudEvent && { cloudEvent: own.cloudEvent }),
			...(event.buses && { buses: event.buses }),
		};
		const appends = route(this.#deps, bus, envelope, headers);
		const fanOut = fanOutOf(bus, appends);
		return { envelope, appends: fanOut ? [fanOut] : appends };
	}

	async #commitGroup(group: readonly Taken[], refused: Map<Taken, unknown>): Promise<void> {
		try {
			await this.#deps.log.commit(group.flatMap(({ appends }) => appends));
		} catch (error) {
			// Those that the log may take yet, or has perhaps taken, are not written again: their sender does that.
			if (group.length === 1 || !isOwnFault(error)) for (const one of group) refused.set(one, error);
			else for (const one of group) await this.#commitGroup([one], refused);
		}
	}

	#accepted(bus: string, { envelope, appends }: { envelope: Envelope; appends: Append[] }): { id: string } {
		const { statistics, logger } = this.#deps;
		statistics.accepted++;
		if (appends.length === 0) {
			statistics.unmatched++;
			const { id, source, detailType } = envelope;
			this.#unmatched.set(id, bus);
			const [oldest] = this.#unmatched.keys();
			if (this.#unmatched.size > maxUnmatched && oldest !== undefined) this.#unmatched.delete(oldest);
			logger.debug("No rule and no archive of the bus takes the event", { bus, id, source, detailType });
		}
		return { id: envelope.id };
	}
}

/** Of one event among those of a commit: a lane that is full, headers or ids that are too long. */
function isOwnFault(error: unknown): boolean {
	if (!isSlipwayError(error)) return false;
	return ["INVALID", "TOO_LARGE"].includes(error.code) || error.reason === "LaneFull";
}

function refusalOf(error: unknown): Refusal {
	if (!isSlipwayError(error)) throw error;
	const { code, message } = error;
	if (code === "INVALID" || code === "TOO_LARGE") return { error: { code: "InvalidArgument", message } };
	return { error: { code: code === "THROTTLED" ? "ThrottlingException" : "InternalFailure", message } };
}

/** As few commits as there can be, each with whole events. */
function groupsOf(events: readonly Taken[]): Taken[][] {
	const groups: Taken[][] = [];
	let changes = 0;
	let bytes = 0;
	for (const one of events) {
		// One that nobody gets needs no commit.
		if (one.appends.length === 0) continue;
		const size = one.appends.length * (one.appends[0]?.body.length ?? 0);
		const group = groups.at(-1);
		if (group && changes + one.appends.length <= maxCommitChanges && bytes + size <= maxCommitBytes) {
			group.push(one);
			changes += one.appends.length;
			bytes += size;
		} else {
			groups.push([one]);
			changes = one.appends.length;
			bytes = size;
		}
	}
	return groups;
}
