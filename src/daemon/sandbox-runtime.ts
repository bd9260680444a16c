import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { OciSandboxRuntime } from "../adapters/sandbox-oci/oci-sandbox-runtime.ts";
import { type ProbedRuntime, probeRuntime, runtimeNames } from "../adapters/sandbox-oci/probe.ts";
import { writeFileAtomic } from "../base/atomic-file.ts";
import type { Clock } from "../base/clock.ts";
import { SlipwayError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { SandboxRuntime } from "../core/sandbox/sandbox-runtime.ts";
import type { Config } from "./config/config.ts";

interface Options {
	config: Config;
	clock: Clock;
	log: Log;
	memoryIsShort: () => boolean;
}

/**
 * The runtime that the configuration names, or the first that works: crun starts containers in a third of runc's time.
 * UNAVAILABLE with what is wrong with each.
 */
export async function openSandboxRuntime(options: Options): Promise<SandboxRuntime> {
	const { config, clock, log, memoryIsShort } = options;
	const runtime = await usableRuntime(options);
	return OciSandboxRuntime.open({ runtime, stateFolder: join(config.home, "sandboxes"), clock, log, memoryIsShort });
}

/** A probe makes a real sandbox, which takes longer than all the rest of a start: one that passed is remembered. */
async function usableRuntime({ config, log }: Options): Promise<ProbedRuntime> {
	const names = config.runtime === "auto" ? runtimeNames : [config.runtime];
	const memory = join(config.home, "runtime.json");
	const known = await remembered(memory);
	if (known && names.some((name) => name === known.name)) return known;
	const refused: ProbedRuntime[] = [];
	for (const name of names) {
		const probed = await probeRuntime(name, { folder: config.home });
		if (!probed.usable) {
			refused.push(probed);
			continue;
		}
		for (const other of refused) log.info("A container runtime was passed over", { ...other });
		await writeFileAtomic(memory, JSON.stringify({ ...probed, mark: await mark(probed.path) }), 0o600);
		return probed;
	}
	throw new SlipwayError("UNAVAILABLE", `No container runtime works here: ${refused.map(complaint).join("; ")}`, {
		hint: refused.map(({ hint }) => hint).find(Boolean) ?? "`slipway doctor` says more",
	});
}

/** The program that passed, if it is still the same file on the same boot. */
async function remembered(path: string): Promise<ProbedRuntime | undefined> {
	try {
		const { mark: then, ...probed } = JSON.parse(await readFile(path, "utf8")) as ProbedRuntime & { mark: string };
		return then === (await mark(probed.path)) ? probed : undefined;
	} catch {
		return undefined; // Not there, or not readable: the probe tells.
	}
}

async function mark(program: string): Promise<string> {
	const { mtimeMs, size, ino } = await stat(program);
	const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
	return `${boot.trim()} ${ino} ${size} ${mtimeMs}`;
}

function complaint({ name, why }: ProbedRuntime): string {
	return `${name}: ${why ?? "it failed"}`;
}
