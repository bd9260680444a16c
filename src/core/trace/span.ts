/** One timed piece of work in a trace, as OpenTelemetry has it (https://opentelemetry.io/docs/specs/otel/trace/api/#span). */
export interface Span {
	/** 32 hexadecimal digits, lower case. */
	traceId: string;
	/** 16 of them. */
	spanId: string;
	parentSpanId?: string | undefined;
	name: string;
	/** `server`: it serves a request from outside; `internal`: it is a part of one. */
	kind: "server" | "internal";
	/** Milliseconds since the epoch, with fractions. */
	startMs: number;
	endMs: number;
	attributes: Readonly<Record<string, SpanValue | undefined>>;
	/** What went wrong, if something did. */
	error?: string | undefined;
}

export type SpanValue = string | number | boolean;

/** Where finished spans go. */
export interface SpanSink {
	/** Takes them at once, waits for nobody and never throws: past its bounds they are dropped and counted. */
	send(spans: readonly Span[]): void;
	/** Since the start. */
	readonly counts: { exported: number; dropped: number };
}
