import { formatDuration, paint, table } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "function ls [--json]",
	summary: "List functions",
	positionals: [0, 0],
	options: jsonOption,
	examples: [["slipway function ls", ""]],
	run: list,
};

async function list({ context, values }: Call): Promise<number> {
	const functions = await Array.fromAsync(context.client().functions());
	if (values.json) {
		context.printJson(functions);
		return exitCodes.ok;
	}
	const colors = { Active: "green", Pending: "yellow", Failed: "red" } as const;
	const rows = functions.map((fn) => [
		fn.name,
		paint(context.color, colors[fn.state], fn.state) +
			(fn.lastUpdateStatus === "InProgress" && fn.state === "Active" ? " (updating)" : ""),
		`${fn.memoryMiB} MiB`,
		`${fn.timeoutS} s`,
		`${formatDuration(Date.now() - fn.lastModifiedMs)} ago`,
		fn.image,
	]);
	context.print(table(["FUNCTION", "STATE", "MEMORY", "TIMEOUT", "CHANGED", "IMAGE"], rows));
	return exitCodes.ok;
}
