/** Spans in OTLP's JSON (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): ids in hex, 64-bit numbers as text. */
import type { Span, SpanValue } from "../../core/trace/span.ts";

const kinds = { internal: 1, server: 2 } as const;
const errorStatus = 2;

export interface Resource {
	attributes: Readonly<Record<string, SpanValue>>;
	/** Of the instrumentation: this program. */
	version: string;
}

export function exportRequest(spans: readonly Span[], { attributes, version }: Resource): string {
	const scopeSpans = [{ scope: { name: "slipway", version }, spans: spans.map(spanJson) }];
	return JSON.stringify({ resourceSpans: [{ resource: { attributes: keyValues(attributes) }, scopeSpans }] });
}

function spanJson({ traceId, spanId, parentSpanId, name, kind, startMs, endMs, attributes, error }: Span): object {
	return {
		traceId,
		spanId,
		...(parentSpanId !== undefined && { parentSpanId }),
		name,
		kind: kinds[kind],
		startTimeUnixNano: unixNano(startMs),
		endTimeUnixNano: unixNano(endMs),
		attributes: keyValues(attributes),
		...(error !== undefined && { status: { code: errorStatus, message: error } }),
	};
}

/** Microseconds fit a double until the year 2255, nanoseconds do not. */
function unixNano(ms: number): string {
	return `${Math.round(ms * 1000)}000`;
}

function keyValues(attributes: Span["attributes"]): object[] {
	return Object.entries(attributes).flatMap(([key, value]) =>
		value === undefined ? [] : [{ key, value: anyValue(value) }],
	);
}

function anyValue(value: SpanValue): object {
	if (typeof value === "string") return { stringValue: value };
	if (typeof value === "boolean") return { boolValue: value };
	return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}
