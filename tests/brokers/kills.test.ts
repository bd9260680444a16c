/** At least once, with real brokers: kill -9 of the consumer and of the broker, again and again, while messages are published. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryFolder } from "../../src/base/testing/real-server.ts";
import { type BrokerKit, brokers, type KillableBroker } from "./brokers.ts";

const messages = 400;
const prefetch = 10;
const consumerKills = 4;
const patienceMs = 40_000;

for (const [kind, kit] of Object.entries(brokers))
	describe(`Kills: ${kind}`, { skip: kit.skip }, () => {
		it("loses nothing, and repeats no more than was in hand", async () => {
			await using broker = await kit.open();
			await using folder = await temporaryFolder();
			const file = join(folder.path, "journal");
			let consumer = startConsumer(kind, broker, file);
			try {
				const published = publishAll(kit, broker);
				for (let kill = 0; kill < consumerKills; kill++) {
					await sleep(700);
					await killed(consumer);
					consumer = startConsumer(kind, broker, file);
				}
				await broker.kill();
				await sleep(300);
				await broker.start();
				// A message whose confirm was cut off is sent again: it may be there twice by the sender's doing.
				const sentTwice = await published;
				const seen = await journalOf(file, (lines) => new Set(lines).size === messages);
				assert.equal(new Set(seen).size, messages);
				const repeats = seen.length - messages;
				assert.ok(repeats <= prefetch * (consumerKills + 1) + sentTwice, `${repeats} were repeated`);
			} finally {
				await killed(consumer);
			}
		});
	});

/** How many had to be sent again. */
async function publishAll(kit: BrokerKit, broker: KillableBroker): Promise<number> {
	await using sink = kit.sink(broker.address);
	let again = 0;
	for (let number = 0; number < messages; number++) {
		const message = { destination: kit.destination, id: `m${number}`, contentType: "text/plain", headers: {} };
		for (let sent = false; !sent; ) {
			const body = Buffer.from(String(number));
			sent = await sink.publish({ ...message, body }, AbortSignal.timeout(patienceMs)).then(
				() => true,
				() => false,
			);
			if (sent) continue;
			again++;
			await sleep(100);
		}
		await sleep(8);
	}
	return again;
}

function startConsumer(kind: string, { address }: KillableBroker, file: string): ChildProcess {
	const script = join(import.meta.dirname, "consumer.ts");
	const args = [script, kind, address.url.href, address.password ?? "", file, String(prefetch)];
	return spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ...args], { stdio: "inherit" });
}

async function killed(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	child.kill("SIGKILL");
	await once(child, "exit");
}

async function journalOf(file: string, done: (lines: string[]) => boolean): Promise<string[]> {
	for (const deadline = Date.now() + patienceMs; ; await sleep(100)) {
		const text = await readFile(file, "utf8").catch(() => "");
		const lines = text.split("\n").slice(0, -1);
		if (done(lines)) return lines;
		assert.ok(Date.now() < deadline, `${new Set(lines).size} of ${messages} came`);
	}
}
