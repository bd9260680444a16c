import { join } from "node:path";
import type { Example } from "../tools/examples.ts";

/** The benches' own function (function/bootstrap.c): streams so many pieces, or answers after a time. */
export const benchFunction: Example = {
	folder: join(import.meta.dirname, "function"),
	name: "bench",
	image: "slipway-bench",
	prepare: "c",
	event: 0,
};

/** The event that is answered after so many milliseconds. */
export function answeredAfter(ms: number): number {
	return -ms;
}
