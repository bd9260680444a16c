/** Batches to functions. */
import type { Clock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import { addHop, maxHops } from "../../core/invocation/lineage.ts";
import { type BatchItem, eventOf } from "./batch.ts";
import { readItemFailures } from "./batch-item-failures.ts";
import type { BatchDelivery, BatchOutcome, BatchRequest } from "./batch-outcome.ts";
import type { MappedFunction, MappedFunctions } from "./ports.ts";

export interface FunctionDeliveryDeps {
	functions: MappedFunctions;
	clock: Pick<Clock, "now">;
	ids: Pick<Ids, "uuid" | "hex">;
}

/** The platform's own refusals, before the function has seen the event. */
const notSeen = new Set(["THROTTLED", "UNAVAILABLE", "EXHAUSTED", "CONFLICT", "NOT_FOUND"]);

export class FunctionDelivery implements BatchDelivery {
	readonly #deps: FunctionDeliveryDeps;

	constructor(deps: FunctionDeliveryDeps) {
		this.#deps = deps;
	}

	async deliver(request: BatchRequest): Promise<BatchOutcome> {
		const { target } = request;
		if (target.kind !== "function") throw new Error(`Not a function: ${target.arn}`);
		const found = this.#deps.functions.find(target.name, target.qualifier);
		if (!found) return later("Function not found");
		const { items, traceId } = await this.#withoutLoops(request, found);
		if (items.length === 0) return { kind: "done", failed: new Set() };
		const invocation: InvocationRequest = {
			requestId: this.#deps.ids.uuid(),
			payload: eventOf(items),
			invokedArn: target.qualifier === undefined ? found.arn : `${found.arn}:${target.qualifier}`,
			...(target.qualifier !== undefined && { qualifier: target.qualifier }),
			traceId,
		};
		try {
			const result = await this.#deps.functions.invoke(target.name, invocation);
			return outcomeOf(result, invocation.requestId, items, request.reportsItemFailures);
		} catch (error) {
			return refusal(error, invocation.requestId);
		}
	}

	/** The trace goes on that has been through the function most often: a loop is found however it is batched. */
	async #withoutLoops(
		{ batch, onLoop }: BatchRequest,
		found: MappedFunction,
	): Promise<{ items: BatchItem[]; traceId: string }> {
		const hops = batch.items.map((item) => ({
			item,
			...addHop(item.message.traceHeader ?? this.#newTrace(), found.arn),
		}));
		const isStopped = (hop: { hops: number }) => found.recursiveLoop === "Terminate" && hop.hops > maxHops;
		const stopped = hops.filter(isStopped);
		const going = hops.filter((hop) => !isStopped(hop));
		if (stopped.length > 0)
			await onLoop(
				stopped.map(({ item }) => item.message),
				`Recursive invocation: the event has been through ${found.name} ${maxHops} times`,
			);
		let furthest = going[0];
		for (const hop of going) if (hop.hops > (furthest?.hops ?? 0)) furthest = hop;
		return { items: going.map(({ item }) => item), traceId: furthest?.traceHeader ?? "" };
	}

	/** https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader */
	#newTrace(): string {
		const seconds = Math.trunc(this.#deps.clock.now() / 1000);
		return `Root=1-${seconds.toString(16).padStart(8, "0")}-${this.#deps.ids.hex(12)};Sampled=0`;
	}
}

function outcomeOf(
	result: InvocationResult,
	requestId: string,
	items: readonly BatchItem[],
	reports: boolean,
): BatchOutcome {
	if (result.functionError !== undefined) {
		const type = result.errorType ?? result.functionError;
		const error = [type, errorMessageOf(result.payload)].filter((part) => part !== undefined).join(": ");
		return { kind: "failed", why: `Function call failed: ${type}`, detail: { requestId, error } };
	}
	if (!reports) return { kind: "done", failed: new Set() };
	const read = readItemFailures(result.payload, new Set(items.map(({ message }) => message.id)));
	if (read.kind === "some")
		return { kind: "done", failed: read.failed, detail: { requestId, error: "named in batchItemFailures" } };
	const why = `Function response is malformed: ${read.why}`;
	return { kind: "failed", why, detail: { requestId, error: why } };
}

/** Runtimes answer a failed invocation with it (lambda-contract 4). */
function errorMessageOf(payload: Uint8Array): string | undefined {
	try {
		const { errorMessage } = JSON.parse(Buffer.from(payload).toString()) as { errorMessage?: unknown };
		return typeof errorMessage === "string" ? errorMessage : undefined;
	} catch {
		return undefined;
	}
}

function refusal(error: unknown, requestId: string): BatchOutcome {
	if (isSlipwayError(error) && notSeen.has(error.code)) {
		const throttled = error.code === "THROTTLED";
		return { ...later(error.message), throttled, retryAfterMs: error.retryAfterMs };
	}
	const why = error instanceof Error ? error.message : String(error);
	return { kind: "failed", why, detail: { requestId, error: why } };
}

function later(why: string): Extract<BatchOutcome, { kind: "later" }> {
	return { kind: "later", why, throttled: false, retryAfterMs: undefined };
}
