import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SlipwayError, systemCode } from "../base/error.ts";
import { isLocked, lockFile } from "../client/local.ts";
import type { Context } from "./context.ts";
import { parseDuration } from "./format.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

/** The daemon's drain limit of 30 s, and as much again for its sandboxes and stores. */
const defaultTimeoutMs = 60_000;
const pollMs = 25;

export const verb: Verb = {
	usage: "down [--timeout 60s] [--force]",
	summary: "Stop the daemon; requests in flight finish first",
	details: "Succeeds when no daemon runs.",
	positionals: [0, 0],
	options: {
		timeout: { type: "string", value: "TIME", description: "How long to wait (60s)" },
		force: { type: "boolean", description: "Then end it with SIGKILL; the next start cleans up after it" },
		...jsonOption,
	},
	examples: [
		["slipway down", "wait for it to end"],
		["slipway down --timeout 5s --force", "end it within five seconds, whatever it does"],
	],
	run: down,
};

async function down({ context, values }: Call): Promise<number> {
	const given = text(values.timeout);
	const timeoutMs = given === undefined ? defaultTimeoutMs : parseDuration(given);
	if (timeoutMs === undefined)
		throw new SlipwayError("INVALID", `--timeout is '${given}': it must be a time such as 30s or 2m`, {
			reason: "Usage",
		});
	const daemon = context.localDaemon();
	if (!daemon) {
		report(context, values.json, { stopped: false }, `No daemon runs on '${context.home}'`);
		return exitCodes.ok;
	}
	const started = performance.now();
	signal(daemon.pid, "SIGTERM");
	let forced = false;
	if (!(await released(context.home, daemon.pid, timeoutMs))) {
		if (!values.force)
			throw new SlipwayError("DEADLINE", `Process ${daemon.pid} still runs after ${Math.round(timeoutMs / 1000)} s`, {
				hint: "Wait longer with --timeout, call again to cut requests off, or end it with --force",
			});
		forced = true;
		signal(daemon.pid, "SIGKILL");
		await released(context.home, daemon.pid, defaultTimeoutMs);
	}
	const tookMs = Math.round(performance.now() - started);
	report(
		context,
		values.json,
		{ stopped: true, pid: daemon.pid, forced, tookMs },
		`Slipway is down (process ${daemon.pid}${forced ? ", ended by force" : ""}, ${(tookMs / 1000).toFixed(1)} s)`,
	);
	return exitCodes.ok;
}

function report(context: Context, json: unknown, value: object, sentence: string): void {
	if (json) context.printJson(value);
	else context.print(sentence);
}

function signal(pid: number, name: "SIGTERM" | "SIGKILL"): void {
	try {
		process.kill(pid, name);
	} catch (error) {
		if (systemCode(error) === "ESRCH") return; // It ended in this moment.
		if (systemCode(error) === "EPERM")
			throw new SlipwayError("FORBIDDEN", `Process ${pid} belongs to another user`, { hint: "Use sudo" });
		throw error;
	}
}

async function released(home: string, pid: number, timeoutMs: number): Promise<boolean> {
	const until = performance.now() + timeoutMs;
	const path = join(home, lockFile);
	while (isLocked(path, pid)) {
		if (performance.now() > until) return false;
		await sleep(pollMs);
	}
	return true;
}
