import { type IpRange, isInRange, parseIp } from "./ip-range.ts";
import { matchesWildcard, type Wildcard } from "./wildcard.ts";

/** A value of an event that is no object and no array. */
export type Leaf = string | number | boolean | null;

/** One entry of a pattern's array. Texts that ignore case are kept folded. */
export type ValueMatcher =
	| { kind: "exact"; value: Leaf }
	| { kind: "prefix" | "suffix"; text: string; ignoreCase: boolean }
	| { kind: "equals-ignore-case"; text: string }
	| { kind: "wildcard"; wildcard: Wildcard }
	| { kind: "anything-but"; none: readonly ValueMatcher[] }
	| ({ kind: "numeric" } & NumericRange)
	| { kind: "cidr"; range: IpRange }
	| { kind: "exists" }
	/** `{"exists": false}`: of no value; whether the field is anywhere in the event is looked at elsewhere. */
	| { kind: "absent" };

export interface NumericRange {
	low: number;
	lowOpen: boolean;
	high: number;
	highOpen: boolean;
}

export function foldCase(text: string): string {
	return text.toLowerCase();
}

export function isInNumericRange({ low, lowOpen, high, highOpen }: NumericRange, value: number): boolean {
	return (lowOpen ? value > low : value >= low) && (highOpen ? value < high : value <= high);
}

export function matchesValue(matcher: ValueMatcher, value: Leaf): boolean {
	switch (matcher.kind) {
		case "exact":
			return value === matcher.value;
		case "exists":
			return true;
		case "absent":
			return false;
		case "anything-but":
			return !matcher.none.some((one) => matchesValue(one, value));
		case "numeric":
			return typeof value === "number" && isInNumericRange(matcher, value);
		default:
			return typeof value === "string" && matchesText(matcher, value);
	}
}

type TextMatcher = Extract<ValueMatcher, { kind: "prefix" | "suffix" | "equals-ignore-case" | "wildcard" | "cidr" }>;

function matchesText(matcher: TextMatcher, value: string): boolean {
	switch (matcher.kind) {
		case "prefix":
			return (matcher.ignoreCase ? foldCase(value) : value).startsWith(matcher.text);
		case "suffix":
			return (matcher.ignoreCase ? foldCase(value) : value).endsWith(matcher.text);
		case "equals-ignore-case":
			return foldCase(value) === matcher.text;
		case "wildcard":
			return matchesWildcard(matcher.wildcard, value);
		case "cidr": {
			const ip = parseIp(value);
			return ip !== undefined && isInRange(matcher.range, ip);
		}
	}
}
