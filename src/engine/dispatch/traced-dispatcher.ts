/** The span of an invocation and those of its cold start's stages; in front of the dispatcher where spans are recorded. */
import type { Clock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import type { Span, SpanSink } from "../../core/trace/span.ts";

export type Invoke = (functionName: string, request: InvocationRequest) => Promise<InvocationResult>;

interface TraceContext {
	traceId: string;
	/** Of the caller. */
	parentSpanId: string | undefined;
}

export class TracedDispatcher {
	readonly #invoke: Invoke;
	readonly #sink: SpanSink;
	readonly #clock: Pick<Clock, "now" | "monotonic">;
	readonly #ids: Pick<Ids, "hex">;

	constructor(deps: {
		invoke: Invoke;
		sink: SpanSink;
		clock: Pick<Clock, "now" | "monotonic">;
		ids: Pick<Ids, "hex">;
	}) {
		this.#invoke = deps.invoke;
		this.#sink = deps.sink;
		this.#clock = deps.clock;
		this.#ids = deps.ids;
	}

	/** As Dispatcher.invoke. A request whose trace is not sampled has no spans; the function of another sees its span as its parent. */
	async invoke(functionName: string, request: InvocationRequest): Promise<InvocationResult> {
		const context = sampledContext(request.traceId);
		if (!context) return this.#invoke(functionName, request);
		const spanId = this.#ids.hex(8);
		const startMs = this.#clock.now();
		const startAt = this.#clock.monotonic();
		const span = (more: Pick<Span, "attributes" | "error">): Span => ({
			...context,
			spanId,
			name: functionName,
			kind: "server",
			startMs,
			endMs: startMs + this.#clock.monotonic() - startAt,
			...more,
			attributes: { ...requestAttributes(functionName, request), ...more.attributes },
		});
		try {
			const traceId = withParent(request.traceId ?? "", spanId);
			const result = await this.#invoke(functionName, { ...request, traceId });
			this.#sink.send([span(outcome(result)), ...this.#stages(result, context.traceId, spanId, startMs)]);
			return result;
		} catch (error) {
			const code = isSlipwayError(error) ? error.code : "INTERNAL";
			this.#sink.send([span({ attributes: { "error.type": code }, error: `The platform refused it: ${code}` })]);
			throw error;
		}
	}

	#stages({ coldStart }: InvocationResult, traceId: string, parentSpanId: string, startMs: number): Span[] {
		let atMs = startMs;
		return (coldStart?.steps ?? []).map(({ stage, ms }) => {
			const from = atMs;
			atMs += ms;
			return {
				traceId,
				spanId: this.#ids.hex(8),
				parentSpanId,
				name: `cold start: ${stage}`,
				kind: "internal",
				startMs: from,
				endMs: atMs,
				attributes: { "slipway.cold_start.stage": stage },
			};
		});
	}
}

/** https://opentelemetry.io/docs/specs/semconv/faas/faas-spans/ */
function requestAttributes(functionName: string, request: InvocationRequest): Span["attributes"] {
	return {
		"faas.name": functionName,
		"faas.invocation_id": request.requestId,
		"faas.trigger": request.trigger ?? "other",
		"cloud.resource_id": request.invokedArn,
	};
}

function outcome(result: InvocationResult): Pick<Span, "attributes" | "error"> {
	const { executedVersion, coldStart, functionError, errorType } = result;
	return {
		attributes: {
			"faas.version": executedVersion,
			"faas.coldstart": coldStart !== undefined,
			"slipway.cold_start.spare": coldStart?.spare,
			"error.type": functionError && (errorType ?? functionError),
		},
		...(functionError && { error: `The function failed: ${errorType ?? functionError}` }),
	};
}

const root = /Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:;|$)/;
const parent = /Parent=([0-9a-f]{16})(?:;|$)/;

/** Of X-Ray's header; undefined for a trace that is not sampled, or whose id is not one of W3C's. */
function sampledContext(header = ""): TraceContext | undefined {
	const [, time, rest] = root.exec(header) ?? [];
	if (time === undefined || rest === undefined || !/Sampled=1(?:;|$)/.test(header)) return undefined;
	return { traceId: time + rest, parentSpanId: parent.exec(header)?.[1] };
}

function withParent(header: string, spanId: string): string {
	const own = `Parent=${spanId}`;
	if (parent.test(header)) return header.replace(/Parent=[0-9a-f]{16}/, own);
	const [first = "", ...others] = header.split(";");
	return [first, own, ...others].join(";");
}
