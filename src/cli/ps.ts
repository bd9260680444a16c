import { formatBytes, formatDuration, table } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "ps [--json]",
	summary: "List sandboxes with state, age, events and memory",
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
		sandbox.initializationType === "on-demand" ? sandbox.state : `${sandbox.state} (provisioned)`,
		formatDuration(now - sandbox.startedMs),
		`${formatDuration(now - sandbox.lastUsedMs)} ago`,
		String(sandbox.invocations),
		`${sandbox.memoryBytes === undefined ? "?" : formatBytes(sandbox.memoryBytes)} of ${sandbox.memoryMiB} MiB`,
	]);
	context.print(table(["SANDBOX", "FUNCTION", "STATE", "AGE", "LAST USED", "EVENTS", "MEMORY"], rows));
	return exitCodes.ok;
}
