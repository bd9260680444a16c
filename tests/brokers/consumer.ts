/**
 * A consumer to be killed: `consumer.ts KIND URL PASSWORD FILE PREFETCH`. Each message is appended to the file, and synced, before it
 * is acknowledged.
 */
import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { SourceLoop } from "../../src/engine/triggers/source-loop.ts";
import { brokers } from "./brokers.ts";

const [kind = "", url = "", password = "", file = "", prefetch = "10"] = process.argv.slice(2);
const kit = brokers[kind];
if (!kit) throw new Error(`${kind} is no broker`);
const address = { url: new URL(url), password, ca: undefined, clientName: "slipway/kills" };
const journal = await open(file, "a");
new SourceLoop({
	name: "kills",
	prefetch: Number(prefetch),
	clock: systemClock,
	logger: silentLog,
	random: Math.random,
	source: async () => kit.source(address),
	onReconnect: () => {},
	async onMessage(message) {
		await sleep(5);
		await journal.appendFile(`${Buffer.from(message.body)}\n`);
		await journal.sync();
		return { verdict: "acknowledge" };
	},
}).start();
