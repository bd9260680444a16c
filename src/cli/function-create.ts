import { setTimeout as sleep } from "node:timers/promises";
import { SlipwayError } from "../base/error.ts";
import type { SlipwayClient } from "../client/client.ts";
import type { FunctionView } from "../client/schema.ts";
import type { Context } from "./context.ts";
import { describe } from "./function-get.ts";
import { ProgressBars } from "./progress.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

const pollMs = 100;

export const verb: Verb = {
	usage: "function create NAME --image REFERENCE [options]",
	summary: "Create a function from an image and wait until it is ready",
	positionals: [1, 1],
	options: {
		image: { type: "string", short: "i", value: "REF", description: "registry/repository:tag" },
		memory: { type: "string", short: "m", value: "MIB", description: "128 to 10240 (128)" },
		timeout: { type: "string", value: "SECONDS", description: "1 to 900 (3)" },
		tmp: { type: "string", value: "MIB", description: "Size of /tmp, 512 to 10240 (512)" },
		arch: { type: "string", value: "NAME", description: "x86_64 or arm64 (x86_64)" },
		env: {
			type: "string",
			short: "e",
			multiple: true,
			value: "KEY=VALUE",
			description: "Environment variable; repeatable",
		},
		role: { type: "string", value: "ARN", description: "Execution role" },
		description: { type: "string", value: "TEXT", description: "What it is for" },
		"no-wait": { type: "boolean", description: "Return while it is still Pending" },
		...jsonOption,
	},
	examples: [
		["slipway function create hello --image $SLIPWAY_REGISTRY/hello:1", ""],
		["slipway function create hello -i $SLIPWAY_REGISTRY/hello:1 -m 512 -e LEVEL=debug", ""],
	],
	run: create,
};

async function create({ context, values, positionals: [name = ""] }: Call): Promise<number> {
	const image = text(values.image);
	if (image === undefined) throw new SlipwayError("INVALID", "--image is missing", { reason: "Usage" });
	const client = context.client();
	let fn = await client.createFunction({
		name,
		image,
		memoryMiB: integer("memory", text(values.memory)),
		timeoutS: integer("timeout", text(values.timeout)),
		tmpMiB: integer("tmp", text(values.tmp)),
		architecture: text(values.arch) as FunctionView["architecture"] | undefined, // The API checks it, and words the refusal.
		environment: pairs(values.env),
		role: text(values.role),
		description: text(values.description),
	});
	if (!values["no-wait"]) fn = await settled(client, context, fn);
	if (values.json) context.printJson(fn);
	else context.print(describe(fn));
	return fn.state === "Failed" ? exitCodes.failed : exitCodes.ok;
}

async function settled(client: SlipwayClient, context: Context, created: FunctionView): Promise<FunctionView> {
	using bars = new ProgressBars(context.err);
	let fn = created;
	while (fn.state === "Pending") {
		if (fn.progress) bars.update(fn.progress);
		await sleep(pollMs);
		fn = await client.getFunction(fn.name);
	}
	return fn;
}

function integer(option: string, value: string | undefined): number | undefined {
	if (value === undefined) return undefined;
	if (/^\d{1,6}$/.test(value)) return Number(value);
	throw new SlipwayError("INVALID", `--${option} is '${value}': it must be a whole number`, { reason: "Usage" });
}

function pairs(values: Call["values"][string]): Record<string, string> | undefined {
	if (!Array.isArray(values)) return undefined;
	return Object.fromEntries(
		values.map((pair) => {
			const [, key, value] = /^([^=]+)=(.*)$/s.exec(String(pair)) ?? [];
			if (key !== undefined && value !== undefined) return [key, value];
			throw new SlipwayError("INVALID", `--env is '${pair}': it must be KEY=VALUE`, { reason: "Usage" });
		}),
	);
}
