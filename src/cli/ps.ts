import type { SandboxState } from "../client/schema.ts";
import type { InstanceView } from "../client/service-schema.ts";
import { formatBytes, formatDuration, formatMs, table } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "ps [--json]",
	summary: "List what runs: functions' sandboxes, instances of services, workers and jobs",
	positionals: [0, 0],
	options: jsonOption,
	examples: [["slipway ps", ""]],
	run: ps,
};

async function ps({ context, values }: Call): Promise<number> {
	const client = context.client();
	const [sandboxes, instances] = await Promise.all([client.sandboxes(), client.workloads.instances()]);
	if (values.json) {
		context.printJson([...sandboxes.map((sandbox) => ({ kind: "function", ...sandbox })), ...instances]);
		return exitCodes.ok;
	}
	const now = Date.now();
	if (sandboxes.length > 0 || instances.length === 0) context.print(sandboxTable(sandboxes, now));
	if (sandboxes.length > 0 && instances.length > 0) context.print("");
	if (instances.length > 0) context.print(instanceTable(instances, now));
	return exitCodes.ok;
}

function sandboxTable(sandboxes: readonly SandboxState[], now: number): string {
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
	return table(["SANDBOX", "FUNCTION", "STATE", "AGE", "LAST USED", "START", "EVENTS", "MEMORY"], rows);
}

function instanceTable(instances: readonly InstanceView[], now: number): string {
	const rows = instances.map(({ id, kind, namespace, name, part, state, startedMs, inFlight, memoryBytes }) => [
		id,
		kind,
		namespace === "default" ? name : `${namespace}/${name}`,
		part,
		state,
		formatDuration(now - startedMs),
		inFlight === undefined ? "-" : String(inFlight),
		formatBytes(memoryBytes),
	]);
	return table(["INSTANCE", "KIND", "NAME", "REVISION OR TASK", "STATE", "AGE", "REQUESTS", "MEMORY"], rows);
}

/** With what is not to be expected of a sandbox: that it was ready before any event. */
function stateOf({ state, initializationType, preInitialized, invocations }: SandboxState): string {
	if (initializationType !== "on-demand") return `${state} (provisioned)`;
	if (state === "created") return "created (spare)";
	return preInitialized && invocations === 0 ? `${state} (pre-initialized)` : state;
}
