/** Batches to services, over HTTP: the native mapping. */

import { isSlipwayError } from "../../base/error.ts";
import type { CallOutcome, Delivery, TargetKind } from "../../core/delivery/target.ts";
import { eventOf } from "./batch.ts";
import { readItemFailures } from "./batch-item-failures.ts";
import type { BatchDelivery, BatchOutcome, BatchRequest } from "./batch-outcome.ts";
import { messageEvent } from "./message-event.ts";

/** HTTP status as CallOutcome has it. */
const tooManyRequests = "429";

export class ServiceDelivery implements BatchDelivery {
	readonly #services: Pick<TargetKind, "handOver">;

	constructor(services: Pick<TargetKind, "handOver">) {
		this.#services = services;
	}

	async deliver(request: BatchRequest, signal: AbortSignal): Promise<BatchOutcome> {
		const { target } = request;
		if (target.kind !== "service") throw new Error("Not a service");
		try {
			const handover = this.#services.handOver(target.arn, deliveryOf(request));
			if (handover.kind !== "call") throw new Error(`${target.arn} is not called over HTTP`);
			return outcomeOf(await handover.run(signal), request);
		} catch (error) {
			if (!isSlipwayError(error)) throw error;
			return { kind: "later", why: error.message, throttled: false, retryAfterMs: error.retryAfterMs };
		}
	}
}

function deliveryOf({ batch, queue, target }: BatchRequest): Delivery {
	const [first] = batch.items;
	if (!first) throw new Error("An empty batch");
	const { id, traceHeader } = first.message;
	const common = { id, correlation: id, sourceArn: queue.arn, traceId: traceHeader };
	if (target.kind === "service" && target.format === "cloudevents")
		return { ...common, ...messageEvent(first.message, queue.arn) };
	return { ...common, body: eventOf(batch.items) };
}

function outcomeOf(outcome: CallOutcome, { batch, reportsItemFailures }: BatchRequest): BatchOutcome {
	if (!outcome.ok) {
		const { code, message: why, retryAfterMs } = outcome;
		// No instance was free: not the message's fault, so it does not bring it nearer to the dead letters.
		if (code === tooManyRequests) return { kind: "later", why, throttled: true, retryAfterMs };
		return failed(why);
	}
	if (!reportsItemFailures) return { kind: "done", failed: new Set() };
	const read = readItemFailures(outcome.body, new Set(batch.items.map(({ message }) => message.id)));
	return read.kind === "some"
		? { kind: "done", failed: read.failed, detail: { error: "named in batchItemFailures" } }
		: failed(`The answer is malformed: ${read.why}`);
}

function failed(why: string): BatchOutcome {
	return { kind: "failed", why, detail: { error: why } };
}
