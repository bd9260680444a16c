import type { SandboxState } from "../client/schema.ts";
import { formatBytes, formatDuration, formatMs, table } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "ps [--json]",
	summary: "List sandboxes with state, age, start, events and memory",
	positionals: [0, 0],
	options: jsonOption,
	examples: [["slipway ps", ""]],
	run: ps,
};

async function ps({ context, values }: Call): Promise<number> {
	const sandboxes = await context.client().sandboxes();
	if (values.json) {
		context.printJson(sandboxes);
		return exitCodes.ok;
	}
	const now = Date.now();
	const rows = sandboxes.map((sandbox) => [
		sandbox.id,
		sandbox.version === "$LATEST" ? sandbox.functionName : `${sandbox.functionName}:${sandbox.version}`,
		stateOf(sandbox),
		formatDuration(now - sandbox.startedMs),
		sandbox.invocations === 0 ? "-" : `${formatDuration(now - sandbox.lastUsedMs)} ago`,
		sandbox.startMs === undefined ? "-" : formatMs(sandbox.startMs),
		String(sandbox.invocations),
		`${sandbox.memoryBytes === undefined ? "?" : formatBytes(sandbox.memoryBytes)} of ${sandbox.memoryMiB} MiB`,
	]);
	context.print(table(["SANDBOX", "FUNCTION", "STATE", "AGE", "LAST USED", "START", "EVENTS", "MEMORY"], rows));
	return exitCodes.ok;
}

/** With what is not to be expected of a sandbox: that it was ready before any event. */
function stateOf({ state, initializationType, preInitialized, invocations }: SandboxState): string {
	if (initializationType !== "on-demand") return `${state} (provisioned)`;
	if (state === "created") return "created (spare)";
	return preInitialized && invocations === 0 ? `${state} (pre-initialized)` : state;
}
