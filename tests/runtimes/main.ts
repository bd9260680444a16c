/**
 * `npm run conformance:runtimes [-- NAME…]`: runtime clients that other people publish, in images, on this platform. Builds
 * what is not built yet, runs every case of cases.ts with each client, and the tools of this folder's other tests; prints
 * every test by name and the totals; exits with 1 when one failed. NAME: an image's name (node, python, go, …).
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { runSuite } from "./suite.ts";

const names = process.argv.slice(2);
const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".test.ts"));
const env = { ...process.env, ...(names.length > 0 && { SLIPWAY_RUNTIMES: names.join(",") }) };
process.exitCode = await runSuite(
	files.map((name) => join(import.meta.dirname, name)),
	env,
);
