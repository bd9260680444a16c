import { isSlipwayError } from "../../base/error.ts";
import { replyEvent } from "../../core/cloud-event/delivery.ts";
import type { CallOutcome } from "../../core/delivery/target.ts";
import { addHop, maxHops } from "../../core/invocation/lineage.ts";
import type { LogChange } from "../../core/message-log/message-log.ts";
import { busEventOfCloudEvent } from "./cloud-event-mapping.ts";
import { busArn } from "./names.ts";
import type { BusDeps } from "./ports.ts";
import type { Publisher } from "./publisher.ts";

/**
 * A service may answer an event with an event: it is published on the bus that the first came from, by the commit that settles that one
 * (https://github.com/knative/specs/blob/main/specs/eventing/data-plane.md#event-reply-contract). One that can't be is told in the log: the
 * event that it answers was taken nevertheless.
 */
export class Replies {
	readonly #deps: BusDeps & { publisher: Publisher };

	constructor(deps: BusDeps & { publisher: Publisher }) {
		this.#deps = deps;
	}

	changes(
		bus: string,
		traceId: string | undefined,
		{ headers, body }: Extract<CallOutcome, { ok: true }>,
	): LogChange[] {
		const reply = replyEvent(headers, body);
		if (!reply) return [];
		if ("malformed" in reply) return this.#refused(bus, reply.malformed);
		const { traceHeader, hops } = addHop(traceId ?? "", busArn(this.#deps, bus));
		if (hops > maxHops)
			return this.#refused(bus, `it is the ${hops}th in a chain of answers: the service answers its own`);
		try {
			return this.#deps.publisher.appends(bus, busEventOfCloudEvent(reply.event, traceHeader));
		} catch (error) {
			if (!isSlipwayError(error)) throw error;
			return this.#refused(bus, error.message);
		}
	}

	#refused(bus: string, why: string): LogChange[] {
		this.#deps.logger.warn("A service's answer is an event that the bus does not take", { bus, why });
		return [];
	}
}
