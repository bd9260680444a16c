/** Trace headers of a request, as a function gets to see them (https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader). */
import type { Ids } from "../base/ids.ts";

/** Lineage and whatever else a caller adds is passed on up to here, bytes; the longest of AWS's own is some 150. */
const maxLength = 512;

const root = /^[\w.:-]{1,64}$/;
const parent = /^[0-9a-f]{16}$/;
const traceparent = /^00-([0-9a-f]{8})([0-9a-f]{24})-([0-9a-f]{16})-([0-9a-f]{2})$/;
/** No trace and no span has such an id (https://www.w3.org/TR/trace-context/#trace-id); a collector may refuse a batch for one. */
const zeros = /^(?:1-)?[0-]+$/;

/**
 * `Root=1-…;Parent=…;Sampled=…` for one request. The caller's own X-Amzn-Trace-Id goes first: its root is kept, parts that
 * are missing are added, others ("Lineage") are left as they are. Then W3C's traceparent, mapped as X-Ray does (its trace
 * id is the root with dashes, https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html#xray-api-traceids);
 * its header goes to nobody, since the Runtime API carries one trace header only. Without either, the trace begins here,
 * and nothing is sampled, since nothing records it. Where something does (`recorded`), what nobody decided is sampled, and
 * no parent is made up: the invocation's own span will be one.
 */
export function traceIdOf(
	header: (name: string) => string | undefined,
	nowMs: number,
	ids: Pick<Ids, "hex">,
	recorded = false,
): string {
	const own = fromXRay(header("x-amzn-trace-id"), ids, recorded);
	if (own !== undefined) return own;
	const [, time, rest, span, flags = "0"] = traceparent.exec(header("traceparent") ?? "") ?? [];
	if (time !== undefined && rest !== undefined && span !== undefined && !zeros.test(time + rest) && !zeros.test(span))
		return `Root=1-${time}-${rest};Parent=${span};Sampled=${Number.parseInt(flags, 16) & 1}`;
	const seconds = Math.floor(nowMs / 1000)
		.toString(16)
		.padStart(8, "0");
	if (recorded) return `Root=1-${seconds}-${ids.hex(12)};Sampled=1`;
	return `Root=1-${seconds}-${ids.hex(12)};Parent=${ids.hex(8)};Sampled=0`;
}

function fromXRay(header: string | undefined, ids: Pick<Ids, "hex">, recorded: boolean): string | undefined {
	if (header === undefined || header.length > maxLength) return undefined;
	const parts = new Map<string, string>();
	for (const part of header.split(";")) {
		const [, key, value] = /^\s*([A-Za-z][\w-]*)=([\x21-\x7e]*)\s*$/.exec(part) ?? [];
		if (key !== undefined && value !== undefined) parts.set(key[0]!.toUpperCase() + key.slice(1), value);
	}
	const { Root, Parent = "", Sampled = "", Self: _, ...others } = Object.fromEntries(parts);
	if (Root === undefined || !root.test(Root) || zeros.test(Root)) return undefined;
	const hasParent = parent.test(Parent) && !zeros.test(Parent);
	const sampled = Sampled === "1" || (recorded && Sampled !== "0");
	const line = [
		`Root=${Root}`,
		...(hasParent ? [`Parent=${Parent}`] : recorded && sampled ? [] : [`Parent=${ids.hex(8)}`]),
		`Sampled=${sampled ? 1 : 0}`,
		...Object.entries(others).map(([key, value]) => `${key}=${value}`),
	];
	return line.join(";");
}
