import type { Tag } from "@aws-sdk/client-eventbridge";
import { busName, type Place } from "../../../../engine/bus/names.ts";
import { AwsError } from "../../errors.ts";

export function invalid(message: string): AwsError {
	return new AwsError("ValidationException", 400, message);
}

/** "NAME" or ARN, "default" without one. */
export function busOf(place: Place, { EventBusName }: { EventBusName?: string | undefined }): string {
	return busName(place, EventBusName);
}

/** Limit: 1 to 100 in all of the API's lists. */
const maxPage = 100;

export interface Page<T> {
	items: T[];
	next: { NextToken?: string };
}

/** `key`: what the items are in order of; the token names the last one. */
export function pageOf<T>(
	all: readonly T[],
	key: (item: T) => string,
	{ NextToken, Limit = maxPage }: { NextToken?: string | undefined; Limit?: number | undefined },
): Page<T> {
	const sorted = all.toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
	const after = NextToken === undefined ? undefined : Buffer.from(NextToken, "base64url").toString();
	const rest = after === undefined ? sorted : sorted.filter((item) => key(item) > after);
	const items = rest.slice(0, Limit);
	const last = items.at(-1);
	const hasMore = last !== undefined && rest.length > items.length;
	return { items, next: hasMore ? { NextToken: Buffer.from(key(last)).toString("base64url") } : {} };
}

/** https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_TagResource.html */
const maxTags = 50;

export function tagsOf(tags: readonly Tag[] | undefined): Record<string, string> {
	return mergedTags({}, tags);
}

export function mergedTags(
	known: Readonly<Record<string, string>>,
	added: readonly Tag[] = [],
): Record<string, string> {
	const tags = new Map(Object.entries(known));
	for (const { Key = "", Value = "" } of added) {
		if (Key === "" || Key.length > 128 || Value.length > 256 || /^aws:/i.test(Key))
			throw invalid(
				`The tag '${Key.slice(0, 128)}' is not valid: keys have 1 to 128 characters and do not begin with aws:, values at most 256`,
			);
		tags.set(Key, Value);
	}
	if (tags.size > maxTags) throw new AwsError("LimitExceededException", 400, `A resource has at most ${maxTags} tags.`);
	return Object.fromEntries(tags);
}

export function wireTags(tags: Readonly<Record<string, string>>): Tag[] {
	return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}
