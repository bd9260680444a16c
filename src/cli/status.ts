import { formatBytes, formatDuration, paint, table } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "status [--json]",
	summary: "Show the daemon: address, runtime, functions, sandboxes, memory",
	details: "The exit code is 5 when none runs.",
	positionals: [0, 0],
	options: jsonOption,
	examples: [
		["slipway status", ""],
		["slipway status --json | jq .sandboxes", "for scripts"],
	],
	run: status,
};

async function status({ context, values }: Call): Promise<number> {
	const remote = context.env.SLIPWAY_URL && context.env.SLIPWAY_TOKEN;
	if (!remote && !context.localDaemon()) {
		if (!values.json) throw context.noDaemon();
		context.printJson({ running: false, home: context.home });
		return exitCodes.noDaemon;
	}
	const state = await context.client().status();
	if (values.json) {
		context.printJson({ running: true, ...state });
		return exitCodes.ok;
	}
	const rows = [
		[
			"state",
			`${paint(context.color, "green", "running")}, process ${state.pid}, for ${formatDuration(state.uptimeMs)}`,
		],
		["version", state.version],
		["address", state.address],
		["home", state.home],
		["runtime", state.runtime],
		["account", `${state.accountId}, ${state.region}`],
		["functions", String(state.functions)],
		["sandboxes", String(state.sandboxes)],
		["memory", `${formatBytes(state.memoryBytes)} (the daemon itself)`],
	];
	context.print(table(rows[0] ?? [], rows.slice(1)));
	return exitCodes.ok;
}
