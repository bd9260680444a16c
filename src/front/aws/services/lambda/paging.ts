/** Markers of lists. They are opaque to clients; ours is the last key of the page, so that what changes in between moves nothing. */
import { invalidParameter } from "./function-name.ts";

export interface PageRequest {
	Marker?: string | undefined;
	MaxItems?: number | undefined;
}

/** "Lambda returns up to 50 items" whatever MaxItems says (API_ListFunctions). */
export const maxPage = 50;

/** One page of `items`, which stand in the order of their keys. */
export function pageOf<T>(
	items: readonly T[],
	request: PageRequest,
	keyOf: (item: T) => string,
	compare: (a: string, b: string) => number = compareText,
): { page: T[]; NextMarker?: string } {
	const limit = Math.min(request.MaxItems ?? maxPage, maxPage);
	const after = readMarker(request.Marker);
	const left = after === undefined ? items : items.filter((item) => compare(keyOf(item), after) > 0);
	const page = left.slice(0, limit);
	const last = page.at(-1);
	return { page, ...(left.length > limit && last !== undefined && { NextMarker: writeMarker(keyOf(last)) }) };
}

export function writeMarker(key: string): string {
	return Buffer.from(`v1:${key}`).toString("base64url");
}

/** Throws AwsError for what is none of ours. */
export function readMarker(marker: string | undefined): string | undefined {
	if (marker === undefined || marker === "") return undefined;
	const text = Buffer.from(marker, "base64url").toString();
	if (!/^v1:[a-zA-Z0-9-_:$]{0,200}$/.test(text)) throw invalidParameter("Invalid Marker");
	return text.slice("v1:".length);
}

export function compareText(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}

/** $LATEST, then by number. */
export function compareVersions(a: string, b: string): number {
	return order(a) - order(b);
}

function order(version: string): number {
	return version === "$LATEST" ? 0 : Number(version);
}
