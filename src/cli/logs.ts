import { SlipwayError } from "../base/error.ts";
import { formatTime, paint, parseDuration } from "./format.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "logs NAME [-f] [--since 5m] [--limit 1000]",
	summary: "Show a function's log, oldest line first",
	positionals: [1, 1],
	options: {
		follow: { type: "boolean", short: "f", description: "Go on with new lines until Ctrl-C" },
		since: { type: "string", value: "TIME", description: "Only lines younger than this (30s, 5m, 2h, 1d)" },
		limit: {
			type: "string",
			short: "n",
			value: "LINES",
			description: "At most so many, the newest (1000; most 10000)",
		},
		stream: { type: "string", value: "NAME", description: "Of one sandbox only" },
		timestamps: { type: "boolean", description: "Show the time of each line" },
		...jsonOption,
	},
	examples: [
		["slipway logs hello --since 5m", "of the last five minutes"],
		["slipway logs hello -f", "as they come"],
		["slipway logs hello --json | jq -r .message", "one JSON document a line"],
	],
	run: logs,
};

async function logs({ context, values, positionals: [name = ""] }: Call): Promise<number> {
	const since = text(values.since);
	const sinceMs = since === undefined ? undefined : parseDuration(since);
	if (since !== undefined && sinceMs === undefined)
		throw new SlipwayError("INVALID", `--since is '${since}': it must be a time such as 30s, 5m, 2h or 1d`, {
			reason: "Usage",
		});
	const limit = text(values.limit);
	if (limit !== undefined && !/^\d{1,5}$/.test(limit))
		throw new SlipwayError("INVALID", `--limit is '${limit}': it must be a number up to 10000`, { reason: "Usage" });
	const interrupted = new AbortController();
	process.once("SIGINT", () => interrupted.abort());
	const lines = context.client().logs(name, {
		startMs: sinceMs === undefined ? undefined : Math.round(Date.now() - sinceMs),
		limit: limit === undefined ? undefined : Number(limit),
		stream: text(values.stream),
		follow: values.follow === true || undefined,
		signal: interrupted.signal,
	});
	try {
		for await (const { timestamp, stream, message } of lines) {
			if (values.json) context.print(JSON.stringify({ timestamp, stream, message }));
			else if (values.timestamps) context.print(`${paint(context.color, "dim", formatTime(timestamp))} ${message}`);
			else context.print(message);
		}
	} catch (error) {
		if (!interrupted.signal.aborted) throw error;
	}
	return exitCodes.ok;
}
