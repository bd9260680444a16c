import type { FunctionView } from "../client/schema.ts";
import { formatBytes, formatColdStart, formatSpares, formatTime, table } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "function get NAME [--json]",
	summary: "Show a function's configuration and state",
	positionals: [1, 1],
	options: jsonOption,
	examples: [["slipway function get hello --json | jq -r .state", ""]],
	run: get,
};

async function get({ context, values, positionals: [name = ""] }: Call): Promise<number> {
	const fn = await context.client().getFunction(name);
	if (values.json) context.printJson(fn);
	else context.print(describe(fn));
	return exitCodes.ok;
}

function eventsOf({ invocations, errors, throttles, platformFailures }: FunctionView["usage"]): string {
	const served = `${invocations}, ${errors} failed, ${throttles} throttled`;
	return platformFailures === 0 ? served : `${served}, ${platformFailures} not served`;
}

export function describe(fn: FunctionView): string {
	const progress =
		fn.progress && ` (${fn.progress.stage} ${formatBytes(fn.progress.done)} of ${formatBytes(fn.progress.total)})`;
	const rows: string[][] = [
		["name", fn.name],
		["state", `${fn.state}${progress ?? ""}${fn.stateReason ? `: ${fn.stateReason}` : ""}`],
		["last update", `${fn.lastUpdateStatus}${fn.lastUpdateReason ? `: ${fn.lastUpdateReason}` : ""}`],
		["arn", fn.arn],
		["image", fn.image],
		...(fn.resolvedImage ? [["resolved", fn.resolvedImage]] : []),
		...(fn.imageSize === undefined ? [] : [["size", formatBytes(fn.imageSize)]]),
		["architecture", fn.architecture],
		["memory", `${fn.memoryMiB} MiB`],
		["timeout", `${fn.timeoutS} s`],
		["/tmp", `${fn.tmpMiB} MiB`],
		["role", fn.role],
		["log group", fn.logGroup],
		["spares", formatSpares(fn.spares)],
		["changed", formatTime(fn.lastModifiedMs)],
		["events", eventsOf(fn.usage)],
		["cold starts", String(fn.usage.coldStarts)],
		...(fn.usage.lastColdStart ? [["last cold start", formatColdStart(fn.usage.lastColdStart)]] : []),
		...Object.entries(fn.environment).map(([key, value]) => ["env", `${key}=${value}`]),
		...Object.entries(fn.tags).map(([key, value]) => ["tag", `${key}=${value}`]),
	];
	return table(rows[0] ?? [], rows.slice(1));
}
