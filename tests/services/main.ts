/**
 * `npm run conformance:services [-- WORD…]`: services from outside. Builds the images of this folder, deploys them with the
 * command line and asks them with clients that other people wrote; prints every test by name and the totals; exits with 1
 * when one failed. The short ones of tests/e2e are among them. WORD: only files whose name has it (frameworks, protocols,
 * rollout, life, containers, load, service-examples).
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { runSuite } from "../runtimes/suite.ts";

const words = process.argv.slice(2);
const filesOf = (folder: string, start: string) =>
	readdirSync(folder)
		.filter((name) => name.startsWith(start) && name.endsWith(".test.ts"))
		.filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
		.map((name) => join(folder, name));
const files = [...filesOf(import.meta.dirname, ""), ...filesOf(join(import.meta.dirname, "../e2e"), "service")];
process.exitCode = await runSuite(files);
