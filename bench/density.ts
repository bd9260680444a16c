/** What functions and idle sandboxes cost in memory. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readExample } from "../tools/examples.ts";
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { kiloBytes, residentMegabytes } from "./memory.ts";
import { startIdleNode } from "./plain-processes.ts";
import { type Figure, figure } from "./result.ts";
import { mustBeGood, pushStaticImage, SlipwayClient } from "./slipway-client.ts";

/** The garbage collector gives memory back when nothing happens for a while. */
const quietMs = 10_000;
const fewFunctions = 100;
const manyFunctions = 1_000;
export const idleSandboxes = 200;
const creators = 8;
const node = "Node alone, listening";

const available = () => kiloBytes("/proc/meminfo", "MemAvailable");

export async function density(daemon: LocalDaemon): Promise<Record<string, Figure>> {
	const imageUri = await pushStaticImage(daemon);
	const client = await SlipwayClient.open(daemon);
	await using plain = await startIdleNode();
	await createFunctions(daemon, imageUri, 0, fewFunctions);
	for (let index = 0; index < fewFunctions; index++) await invokeOnce(client, index);
	for (let index = 0; index < fewFunctions; index++) await client.toZero(functionName(index));
	await sleep(quietMs);
	const few = await residentMegabytes(daemon.pid);
	const alone = await residentMegabytes(plain.pid);
	await createFunctions(daemon, imageUri, fewFunctions, manyFunctions);
	await sleep(quietMs);
	const before = { daemon: await residentMegabytes(daemon.pid), available: await available() };
	for (let index = 0; index < idleSandboxes; index++) await invokeOnce(client, index);
	await sleep(quietMs);
	const full = await residentMegabytes(daemon.pid);
	const frozen = (await client.sandboxes()).filter(({ state }) => state === "frozen");
	client.close();
	if (frozen.length !== idleSandboxes) throw new Error(`${frozen.length} sandboxes are frozen, not ${idleSandboxes}`);
	const each = {
		daemon: ((full - before.daemon) * 1e6) / 1024 / idleSandboxes,
		machine: (before.available - (await available())) / idleSandboxes,
	};
	return {
		...memoryFigures(few, full, alone),
		"idle.sandbox_rss": figure({
			name: "memory of an idle, frozen sandbox",
			unit: "kB",
			values: frozen.map(({ memoryBytes = Number.NaN }) => memoryBytes / 1024),
			baselines: { "the same process bare": [await bareResidentKilobytes()] },
			how: `a static binary, as its control group counts it; with it the daemon grew by ${each.daemon.toFixed(0)} kB for each, and the machine's available memory fell by ${each.machine.toFixed(0)} kB for each`,
		}),
	};
}

function memoryFigures(few: number, full: number, alone: number): Record<string, Figure> {
	const how = `10 seconds after the last event`;
	return {
		"daemon.rss": figure({
			name: `resident memory of the daemon, ${fewFunctions} functions at zero`,
			unit: "MB",
			values: [few],
			baselines: { [node]: [alone] },
			how: `${how}, each function invoked before`,
			promises: { "at most 120 MB": ({ p50 }) => p50 <= 120 },
		}),
		"daemon.rss.full": figure({
			name: `resident memory of the daemon, ${manyFunctions.toLocaleString("en-US")} functions, ${idleSandboxes} idle sandboxes`,
			unit: "MB",
			values: [full],
			baselines: { [node]: [alone] },
			how: `${how}, the sandboxes frozen`,
			promises: { "at most 150 MB": ({ p50 }) => p50 <= 150 },
		}),
	};
}

const functionName = (index: number) => `bench-idle-${index}`;

async function createFunctions(daemon: LocalDaemon, imageUri: string, from: number, to: number): Promise<void> {
	let next = from;
	const create = async () => {
		const client = await SlipwayClient.open(daemon);
		while (next < to) await client.createFunction(functionName(next++), imageUri);
		client.close();
	};
	await Promise.all(Array.from({ length: creators }, create));
}

async function invokeOnce(client: SlipwayClient, index: number): Promise<void> {
	mustBeGood(await client.send(client.invokeRequest(functionName(index), {})));
}

/** Of the static example while it waits for an event. */
async function bareResidentKilobytes(): Promise<number> {
	const asked = Promise.withResolvers<void>();
	const server = createServer(() => asked.resolve());
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const { folder } = await readExample("static");
	const env = { AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${(server.address() as AddressInfo).port}` };
	const child = spawn(join(folder, "bootstrap"), [], { stdio: "ignore", env });
	await asked.promise;
	const resident = await kiloBytes(`/proc/${child.pid}/status`, "VmRSS");
	child.kill("SIGKILL");
	server.closeAllConnections();
	server.close();
	return resident;
}
