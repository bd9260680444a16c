import { SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { Delivery, Handover, TargetKind } from "../../core/delivery/target.ts";
import { addHop, maxHops } from "../../core/invocation/lineage.ts";
import type { Bus } from "./bus.ts";
import { maxBusesOnPath } from "./limits.ts";
import { busArn, busOfArn, type Place } from "./names.ts";

/** Buses as targets: the event is appended for each target of the bus's rules by the commit that settles it where it came from. */
export class BusTarget implements TargetKind {
	readonly #deps: Place & { bus: () => Bus | undefined; ids: Pick<Ids, "hex"> };

	/** `bus`: asked for each event, as the bus itself needs targets. */
	constructor(deps: Place & { bus: () => Bus | undefined; ids: Pick<Ids, "hex"> }) {
		this.#deps = deps;
	}

	owns(arn: string): boolean {
		return /^arn:aws:events:[^:]*:\d{12}:event-bus\//.test(arn);
	}

	check(arn: string): void {
		this.#open().describeBus(this.#name(arn));
	}

	/** CONFLICT, reason "RecursionDetected", for an event that goes round in a loop. */
	handOver(arn: string, delivery: Delivery): Handover {
		const bus = this.#open();
		const name = this.#name(arn);
		bus.describeBus(name);
		const { traceHeader, hops } = addHop(delivery.traceId ?? this.#newTrace(), busArn(this.#deps, name));
		checkPath(name, delivery.event?.buses ?? [], hops);
		const { source, detailType, resources, time, cloudEvent } = delivery.event ?? {
			source: "slipway",
			detailType: "Delivery",
			resources: [delivery.sourceArn],
		};
		const fromRule = delivery.sourceArn.startsWith("arn:aws:events:");
		const changes = bus.changesOf(name, {
			// An event keeps its id from bus to bus.
			id: fromRule ? delivery.correlation : delivery.id,
			source,
			detailType,
			resources,
			time,
			detail: Buffer.from(delivery.body).toString(),
			traceId: traceHeader,
			cloudEvent,
			buses: delivery.event?.buses,
		});
		return { kind: "append", changes };
	}

	#newTrace(): string {
		const time = Math.trunc(this.#open().now() / 1000);
		return `Root=1-${time.toString(16).padStart(8, "0")}-${this.#deps.ids.hex(12)}`;
	}

	#open(): Bus {
		const bus = this.#deps.bus();
		if (!bus) throw new SlipwayError("UNAVAILABLE", "The event bus is not open yet");
		return bus;
	}

	#name(arn: string): string {
		const name = busOfArn(this.#deps, arn);
		if (name !== undefined) return name;
		throw new SlipwayError("INVALID", `'${arn.slice(0, 300)}' is not the ARN of an event bus of this installation`);
	}
}

/**
 * Rules hand an event to a bus as it is: where it has been before it would match the same rules again, and with two of them be twice as
 * many each time round. AWS stops a path at its second bus ("EventBridge can't route events received from a sender event bus to a third
 * event bus"); here it may be longer, but never come back. Over functions and services, which may change the event, it may, 16 times.
 */
function checkPath(name: string, buses: readonly string[], hops: number): void {
	const why = buses.includes(name)
		? `The event has been on event bus ${name} already: rules send it round in a loop`
		: buses.length >= maxBusesOnPath
			? `The event has been on ${buses.length} event buses, one after the other, which is the bound`
			: hops > maxHops
				? `The event has come to event bus ${name} ${maxHops} times: its targets send it round in a loop`
				: undefined;
	if (why !== undefined) throw new SlipwayError("CONFLICT", why, { reason: "RecursionDetected" });
}
