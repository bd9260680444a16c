import type { HttpParameters } from "./types.ts";

/** Path and query of a call: the ARN's, with its asterisks filled in order. Undefined where the parameters have nothing to say of it. */
export function servicePath(arn: string, { pathValues = [], query = {} }: HttpParameters): string | undefined {
	const entries = Object.entries(query);
	if (pathValues.length === 0 && entries.length === 0) return undefined;
	const path = /:service\/[^/]+\/[^/]+(\/.*)?$/.exec(arn)?.[1] ?? "/";
	let next = 0;
	const filled = path.replaceAll("*", () => encodeURIComponent(pathValues[next++] ?? ""));
	const search = new URLSearchParams(entries).toString();
	return search === "" ? filled : `${filled}${filled.includes("?") ? "&" : "?"}${search}`;
}
