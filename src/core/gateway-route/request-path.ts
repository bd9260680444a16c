/**
 * A request's path, brought into the one form that rules are matched with and that is sent on, so that whoever answers sees
 * what was looked at. What two programs may read in two ways is refused: behind it a rule's protection could be walked around.
 */

export interface RequestPath {
	/** As it is sent on: dot segments resolved, slashes in a row made one, escapes of unreserved characters undone. */
	path: string;
	/** Decoded, without the empty one of a slash at the end: `/orders` and `/orders/` are the same to a rule. */
	segments: readonly string[];
}

/** Bytes; a whole head has 32 KiB. */
const maxPathBytes = 8192;
/** More than any rule has, with the rest for a greedy variable. */
const maxSegments = 256;

/** RFC 3986 2.3 */
const unreserved = /[A-Za-z0-9._~-]/;
/** RFC 3986 3.3: what a path may hold as it is; all else has to be an escape. */
const plain = /^[A-Za-z0-9._~!$&'()*+,;=:@/%-]*$/;
/** A dot segment with a parameter: servers that drop parameters see a dot segment (Tomcat's "/..;/"). */
const dotWithParameter = /^\.{1,2};/;

/** The reason, as a sentence, when it is refused. */
export function parseRequestPath(raw: string): RequestPath | { refused: string } {
	if (!raw.startsWith("/")) return { refused: "The path has to begin with a slash" };
	if (raw.length > maxPathBytes) return { refused: `The path is longer than ${maxPathBytes} bytes` };
	if (!plain.test(raw)) return { refused: "The path holds a character that has to be escaped" };
	const written: string[] = [];
	const segments: string[] = [];
	const given = raw.split("/").slice(1);
	for (const [at, part] of given.entries()) {
		const segment = normalised(part);
		if ("refused" in segment) return segment;
		const last = at === given.length - 1;
		if (segment.decoded === "..") {
			if (written.length === 0) return { refused: "The path leads out of its root" };
			written.pop();
			segments.pop();
		} else if (segment.decoded !== "" && segment.decoded !== ".") {
			written.push(segment.written);
			segments.push(segment.decoded);
		}
		if (last && ["", ".", ".."].includes(segment.decoded) && written.length > 0) written.push("");
	}
	if (segments.length > maxSegments) return { refused: `The path has more than ${maxSegments} segments` };
	return { path: `/${written.join("/")}`, segments };
}

function normalised(part: string): { written: string; decoded: string } | { refused: string } {
	if (!part.includes("%")) {
		if (dotWithParameter.test(part)) return { refused: "The path has a dot segment with a parameter" };
		return { written: part, decoded: part };
	}
	let decoded: string;
	try {
		// Also refuses what is not UTF-8: overlong forms ("%c0%af") and halves of pairs.
		decoded = decodeURIComponent(part);
	} catch {
		return { refused: "The path has an escape that is not UTF-8" };
	}
	if (/[\0-\x1f\x7f]/.test(decoded)) return { refused: "The path has an escaped control character" };
	if (/[/\\]/.test(decoded)) return { refused: "The path has an escaped slash or backslash" };
	// What a second decoding would make a slash, a dot or an escape of.
	if (/%[0-9a-f]{2}/i.test(decoded)) return { refused: "The path is escaped twice" };
	if (dotWithParameter.test(decoded)) return { refused: "The path has a dot segment with a parameter" };
	const written = part.replace(/%[0-9a-f]{2}/gi, (octet) => {
		const character = String.fromCharCode(Number.parseInt(octet.slice(1), 16));
		return unreserved.test(character) ? character : octet.toUpperCase();
	});
	return { written, decoded };
}
