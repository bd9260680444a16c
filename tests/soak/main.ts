/**
 * `npm run soak [-- --invocations N]`: a real daemon, N invocations of the static example of which 5 % hang until their
 * timeout and 5 % crash, then a look at what they left behind. Exit code 1 for any leftover or wrong answer.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { pushStaticImage, SlipwayClient } from "../../bench/slipway-client.ts";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { formatTable } from "../../tools/table.ts";
import { type Inventory, leftovers, takeInventory } from "./leftovers.ts";

/** A hanging invocation holds its client for the function's timeout: more clients, so that the rest goes on. */
const clients = 8;
const timeoutS = 1;
/** Shorter than the wait at the end: every sandbox is gone by then. */
const idleTimeoutS = 2;
const settleMs = 8_000;
/** The first ones fill pools and compile code; the comparison starts after them. */
const warmUp = 200;
const progressEvery = 1_000;

interface Tally {
	answered: number;
	timedOut: number;
	crashed: number;
	wrong: string[];
}

/** Every twentieth hangs, every twentieth crashes: 10 % in all. */
function eventOf(index: number): { do: string; index: number } {
	if (index % 20 === 7) return { do: "hang", index };
	if (index % 20 === 13) return { do: "exit", index };
	return { do: "echo", index };
}

async function invokeOne(client: SlipwayClient, index: number, tally: Tally): Promise<void> {
	const event = eventOf(index);
	const answer = await client.send(client.invokeRequest("soak", event));
	const body = String(answer.body);
	const failed = /^x-amz-function-error:/im.test(answer.head);
	if (answer.status === 200 && event.do === "echo" && !failed && body === JSON.stringify(event)) tally.answered++;
	else if (answer.status === 200 && event.do === "hang" && failed && body.includes("timed out")) tally.timedOut++;
	else if (answer.status === 200 && event.do === "exit" && failed && body.includes("Runtime.ExitError"))
		tally.crashed++;
	else if (tally.wrong.length < 20)
		tally.wrong.push(`${JSON.stringify(event)}: ${answer.status} ${body.slice(0, 200)}`);
}

async function invokeAll(daemon: LocalDaemon, from: number, to: number): Promise<Tally> {
	const tally: Tally = { answered: 0, timedOut: 0, crashed: 0, wrong: [] };
	let next = from;
	const work = Array.from({ length: clients }, async () => {
		const client = await SlipwayClient.open(daemon);
		while (next < to) {
			const index = next++;
			if (index > 0 && index % progressEvery === 0) console.error(`soak: ${index} invocations`);
			await invokeOne(client, index, tally);
		}
		client.close();
	});
	await Promise.all(work);
	return tally;
}

async function settled(daemon: LocalDaemon): Promise<Inventory> {
	await sleep(settleMs);
	return await takeInventory(daemon.pid);
}

async function main(): Promise<void> {
	const { values } = parseArgs({ options: { invocations: { type: "string", default: "10000" } } });
	const invocations = Number(values.invocations);
	if (!Number.isInteger(invocations) || invocations < 1) throw new Error("--invocations takes a whole number from 1");
	await using daemon = await startDaemon({ env: { SLIPWAY_IDLE_TIMEOUT: String(idleTimeoutS) } });
	const setup = await SlipwayClient.open(daemon);
	await setup.createFunction("soak", await pushStaticImage(daemon), { timeoutS });
	setup.close();
	await invokeAll(daemon, 0, warmUp);
	const before = await settled(daemon);
	const started = performance.now();
	const tally = await invokeAll(daemon, 0, invocations);
	const seconds = (performance.now() - started) / 1000;
	const after = await settled(daemon);
	const left = leftovers(before, after);
	const kinds = Object.keys(before) as (keyof Inventory)[];
	const rows = kinds.map((kind) => [kind, before[kind].toFixed(0), after[kind].toFixed(0)]);
	console.log(
		`\n${invocations} invocations in ${seconds.toFixed(0)} s: ${tally.answered} answered, ${tally.timedOut} timed out, ${tally.crashed} crashed`,
	);
	console.log(`\n${formatTable(["what", "before", "after"], rows)}`);
	for (const line of [
		...left.map((kind) => `LEFT BEHIND ${kind}`),
		...tally.wrong.map((line) => `WRONG ANSWER ${line}`),
	])
		console.log(line);
	if (left.length + tally.wrong.length > 0) process.exitCode = 1;
}

await main();
