/** The headers by which a request is found again: W3C's traceparent and Google's X-Cloud-Trace-Context, which say the same, and X-Request-Id. */
import type { IncomingHttpHeaders } from "node:http";
import type { Ids } from "../../base/ids.ts";

export interface TraceContext {
	/** 32 hexadecimal digits. */
	traceId: string;
	requestId: string;
	/** For the container. */
	headers: Record<string, string | undefined>;
}

/** https://www.w3.org/TR/trace-context/#traceparent-header-field-values; a later version may have more behind it. */
const traceparentPattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;
/** https://cloud.google.com/trace/docs/trace-context#legacy-http-header */
const cloudPattern = /^([0-9a-f]{32})(?:\/(\d{1,20}))?(?:;o=([0-3]))?$/i;
const requestIdPattern = /^[\w.:+/=@-]{1,128}$/;
const zeros = /^0+$/;
const maxSpan = 2n ** 64n;

/** What the client says goes on when it is valid, traceparent before Google's; else the trace begins here, unsampled. */
export function traceContext(headers: IncomingHttpHeaders, ids: Pick<Ids, "hex">): TraceContext {
	const given = headers["x-request-id"];
	const requestId = typeof given === "string" && requestIdPattern.test(given) ? given : ids.hex(16);
	const own = fromTraceparent(headers.traceparent);
	const { traceId, span, sampled } = own ?? fromCloud(headers["x-cloud-trace-context"], ids) ?? begun(ids);
	return {
		traceId,
		requestId,
		headers: {
			traceparent: own ? (headers.traceparent as string) : `00-${traceId}-${span}-0${sampled ? 1 : 0}`,
			// It belongs to the traceparent that it came with.
			...(own ? {} : { tracestate: undefined }),
			"x-cloud-trace-context": `${traceId}/${BigInt(`0x${span}`)};o=${sampled ? 1 : 0}`,
			"x-request-id": requestId,
		},
	};
}

interface Trace {
	traceId: string;
	span: string;
	sampled: boolean;
}

function fromTraceparent(header: string | string[] | undefined): Trace | undefined {
	if (typeof header !== "string" || header.length > 128) return undefined;
	const [, version, traceId = "", span = "", flags = "0"] = traceparentPattern.exec(header) ?? [];
	if (version === undefined || version === "ff" || (version === "00" && header.length !== 55)) return undefined;
	if (zeros.test(traceId) || zeros.test(span)) return undefined;
	return { traceId, span, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

function fromCloud(header: string | string[] | undefined, ids: Pick<Ids, "hex">): Trace | undefined {
	if (typeof header !== "string") return undefined;
	const [, traceId, decimal, options] = cloudPattern.exec(header) ?? [];
	if (traceId === undefined || zeros.test(traceId)) return undefined;
	const span = decimal === undefined ? 0n : BigInt(decimal);
	return {
		traceId: traceId.toLowerCase(),
		span: span > 0n && span < maxSpan ? span.toString(16).padStart(16, "0") : ids.hex(8),
		sampled: options !== undefined && (Number(options) & 1) === 1,
	};
}

function begun(ids: Pick<Ids, "hex">): Trace {
	return { traceId: ids.hex(16), span: ids.hex(8), sampled: false };
}
