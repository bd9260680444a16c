/** What a Range header asks for (RFC 9110, 14.1.2): undefined for all of it, as for anything that we may ignore. */
export function parseRange(
	header: string | undefined,
	size: number,
): { start: number; end: number } | "unsatisfiable" | undefined {
	// Several ranges may be ignored, and then the client gets everything.
	const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? "");
	if (!match) return undefined;
	const [, first = "", last = ""] = match;
	if (first === "" && last === "") return undefined;
	if (first === "") {
		const suffix = Number(last);
		if (suffix === 0 || size === 0) return "unsatisfiable";
		return { start: Math.max(0, size - suffix), end: size - 1 };
	}
	const start = Number(first);
	const end = last === "" ? size - 1 : Number(last);
	if (last !== "" && end < start) return undefined; // not valid, so ignored
	if (start >= size) return "unsatisfiable";
	return { start, end: Math.min(end, size - 1) };
}

/** A chunk's `Content-Range: 0-99`, both ends inclusive (distribution-spec, "Pushing a blob in chunks"); "invalid" for other forms. */
export function parseContentRange(header: string | undefined): { start: number; end: number } | "invalid" | undefined {
	if (header === undefined) return undefined;
	const match = /^(?:bytes )?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header);
	if (!match) return "invalid";
	const [start, end] = [Number(match[1]), Number(match[2])];
	return end < start ? "invalid" : { start, end };
}
