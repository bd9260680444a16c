/**
 * `npm run conformance:events [-- WORD…]`: asynchronous invocation, queues, the bus, schedules and CloudEvents from outside, in a
 * real daemon with real containers, asked and answered by programs that other people wrote. Prints every clause by name and the
 * totals; exits with 1 when one failed. WORD: only the parts with these names (parts.ts). SLIPWAY_EVENTS_LOG=1 shows the daemon's log.
 */
import { join } from "node:path";
import { runSuite } from "../runtimes/suite.ts";
import { partNames, partsVariable } from "./parts.ts";

const words = process.argv.slice(2);
const unknown = words.filter((word) => !partNames.includes(word));
if (unknown.length > 0) {
	console.error(`There is no part '${unknown[0]}': ${partNames.join(", ")}`);
	process.exitCode = 2;
} else {
	const env = words.length === 0 ? process.env : { ...process.env, [partsVariable]: words.join(",") };
	process.exitCode = await runSuite([join(import.meta.dirname, "events.test.ts")], env);
}
