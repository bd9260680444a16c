import { isRepositoryName } from "../../core/image/reference.ts";
import { refuse } from "./oci-error.ts";

/** The endpoints of the distribution-spec ("Endpoints"), and `_catalog` of the older Docker registry API. */
export type Route =
	| { kind: "version" }
	| { kind: "catalog" }
	| { kind: "tags"; name: string }
	| { kind: "manifest"; name: string; reference: string }
	| { kind: "blob"; name: string; digest: string }
	| { kind: "uploads"; name: string }
	| { kind: "upload"; name: string; id: string }
	| { kind: "referrers"; name: string; digest: string };

export type RouteKind = Route["kind"];

/** Longer paths name nothing: 255 characters of repository, a fixed part, and a digest, each percent-encoded at worst. */
const maxPathLength = 2048;

/**
 * Tells endpoints apart from the end of the path, as a repository's name may hold slashes, and words such as `blobs`.
 * Each segment is decoded by itself, so that `%2f` can't make two of one; nothing is ever normalized, so that `..` is
 * merely a bad name. Undefined for what is no endpoint. INVALID for bad names.
 */
export function parseRoute(path: string): Route | undefined {
	if (path.length > maxPathLength) throw refuse("NameInvalid", "The path is too long");
	if (path === "/v2" || path === "/v2/") return { kind: "version" };
	if (!path.startsWith("/v2/")) return undefined;
	const segments = path.slice("/v2/".length).split("/").map(decode);
	if (segments.at(-1) === "") segments.pop(); // `blobs/uploads/`
	if (segments.length === 1 && segments[0] === "_catalog") return { kind: "catalog" };
	const [third, second, last] = [segments.at(-3), segments.at(-2), segments.at(-1) ?? ""];
	const name = (dropped: number) => parseName(segments.slice(0, -dropped));
	if (second === "tags" && last === "list") return { kind: "tags", name: name(2) };
	if (second === "manifests") return { kind: "manifest", name: name(2), reference: last };
	if (second === "referrers") return { kind: "referrers", name: name(2), digest: last };
	if (second === "blobs" && last === "uploads") return { kind: "uploads", name: name(2) };
	if (third === "blobs" && second === "uploads") return { kind: "upload", name: name(3), id: last };
	if (second === "blobs") return { kind: "blob", name: name(2), digest: last };
	return undefined;
}

function decode(segment: string): string {
	let decoded: string;
	try {
		decoded = decodeURIComponent(segment);
	} catch {
		throw refuse("NameInvalid", "The path is not valid percent-encoded UTF-8");
	}
	if (decoded.includes("/")) throw refuse("NameInvalid", "The path holds an encoded slash");
	return decoded;
}

export function parseName(segments: string[]): string {
	const name = segments.join("/");
	if (isRepositoryName(name)) return name;
	throw refuse(
		"NameInvalid",
		`'${name.slice(0, 100)}' is not a repository name: at most 255 lower-case letters, digits, '.', '_', '-' and '/'`,
	);
}
