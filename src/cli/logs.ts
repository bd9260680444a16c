import { SlipwayError } from "../base/error.ts";
import type { LogOptions } from "../client/client.ts";
import type { LogLine } from "../client/schema.ts";
import { formatTime, paint, parseDuration } from "./format.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const logOptions = {
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
} as const satisfies Verb["options"];

export const verb: Verb = {
	usage: "logs NAME | --group GROUP [-f] [--since 5m] [--limit 1000]",
	summary: "Show a function's log, or any group's, oldest line first",
	details:
		"The gateway's access log is the group /slipway/gateway/access, with a stream for each service, NAMESPACE/NAME.",
	positionals: [0, 1],
	options: {
		group: { type: "string", value: "GROUP", description: "Of this log group, in place of a function's" },
		...logOptions,
	},
	examples: [
		["slipway logs hello --since 5m", "of the last five minutes"],
		["slipway logs hello -f", "as they come"],
		["slipway logs hello --json | jq -r .message", "one JSON document a line"],
		["slipway logs --group /slipway/gateway/access --stream default/shop -f", "a service's requests as they end"],
	],
	run: (call) => printLogs(call, (options) => linesOf(call, options)),
};

function linesOf({ context, values, positionals: [name] }: Call, options: LogOptions): AsyncIterable<LogLine> {
	const group = text(values.group);
	if ((name === undefined) === (group === undefined))
		throw new SlipwayError("INVALID", "Name either a function or a --group", { reason: "Usage" });
	return group === undefined ? context.client().logs(name ?? "", options) : context.client().groupLogs(group, options);
}

/** Lines as the options ask for them, until they end or Ctrl-C. */
export async function printLogs(
	{ context, values }: Call,
	open: (options: LogOptions) => AsyncIterable<LogLine>,
): Promise<number> {
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
	const lines = open({
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
