/**
 * `npm run test:brokers [-- WORD…]`: real brokers that are killed, and consumers that are. Some six minutes; the quick tests of the
 * adapters are among the unit tests. WORD: only files whose name has it (kills, rabbitmq).
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { runSuite } from "../runtimes/suite.ts";

const words = process.argv.slice(2);
const files = readdirSync(import.meta.dirname)
	.filter((name) => name.endsWith(".test.ts") && (words.length === 0 || words.some((word) => name.includes(word))))
	.map((name) => join(import.meta.dirname, name));
process.exitCode = await runSuite(files);
