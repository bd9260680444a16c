import { readFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { SlipwayError, systemCode } from "../base/error.ts";
import { formatColdStart, paint } from "./format.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "invoke NAME[:QUALIFIER] [-d JSON | --file FILE] [--tail]",
	summary: "Invoke a function, wait, and print its answer",
	details:
		"A qualifier is a version's number or an alias. Without an event the function gets {}. The answer goes to standard\n" +
		"output as the function wrote it, everything else to standard error, with the stages of a cold start if it had one.\n" +
		"The exit code is 3 when the function answered with an error.",
	positionals: [1, 1],
	options: {
		data: { type: "string", short: "d", value: "JSON", description: "The event" },
		file: { type: "string", short: "f", value: "FILE", description: "Read the event from a file; - is standard input" },
		tail: { type: "boolean", short: "t", description: "Show the last 4 KB of its log" },
		...jsonOption,
	},
	examples: [
		["slipway invoke hello", "with {}"],
		[`slipway invoke hello -d '{"name":"you"}' --tail`, "with an event, and the log"],
		["slipway invoke hello:live", "the version that the alias 'live' names"],
		["jq -n '{a:1}' | slipway invoke hello --file -", "with an event from a pipe"],
	],
	run: invoke,
};

async function invoke({ context, values, positionals: [name = ""] }: Call): Promise<number> {
	const payload = await readEvent(text(values.data), text(values.file));
	const [functionName = "", qualifier] = name.split(/:(.*)/s);
	const started = performance.now();
	const result = await context.client().invoke(functionName, payload, { tail: values.tail === true, qualifier });
	const tookMs = Math.round((performance.now() - started) * 100) / 100;
	const answer = Buffer.from(result.payload).toString();
	if (values.json) context.printJson({ ...result, payload: parsed(answer), tookMs });
	else {
		if (result.logTail !== undefined)
			context.err.write(paint(context.err.isTTY === true && context.color, "dim", result.logTail));
		context.print(answer);
		if (result.coldStart)
			context.err.write(
				`${paint(context.err.isTTY === true && context.color, "dim", `cold start ${formatColdStart(result.coldStart)}`)}\n`,
			);
		if (result.functionError)
			context.err.write(
				`${paint(context.color, "red", "slipway:")} '${name}' answered with an error (${result.functionError})\n`,
			);
	}
	return result.functionError ? exitCodes.functionError : exitCodes.ok;
}

async function readEvent(
	data: string | undefined,
	file: string | undefined,
): Promise<Uint8Array<ArrayBuffer> | string> {
	if (data !== undefined && file !== undefined)
		throw new SlipwayError("INVALID", "--data and --file exclude each other", { reason: "Usage" });
	const event = data ?? (file === undefined ? "{}" : await readSource(file));
	try {
		JSON.parse(event.toString());
	} catch (error) {
		throw new SlipwayError("INVALID", `The event is not JSON: ${(error as Error).message}`, {
			reason: "Usage",
			hint: `Quote it for the shell: -d '{"name":"you"}'`,
		});
	}
	return event;
}

async function readSource(file: string): Promise<Buffer<ArrayBuffer>> {
	if (file === "-") return Buffer.from(await buffer(process.stdin));
	try {
		return await readFile(file);
	} catch (error) {
		if (systemCode(error) === undefined) throw error;
		throw new SlipwayError("INVALID", `The event file '${file}' can't be read: ${(error as Error).message}`);
	}
}

/** A function may answer with anything; what is not JSON is shown as text. */
function parsed(answer: string): unknown {
	try {
		return JSON.parse(answer);
	} catch {
		return answer;
	}
}
