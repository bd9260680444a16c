import { readFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { SlipwayError, systemCode } from "../base/error.ts";
import { formatColdStart, paint } from "./format.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "invoke NAME[:QUALIFIER] [-d JSON | --file FILE] [--tail | --async]",
	summary: "Invoke a function, wait, and print its answer",
	details:
		"A qualifier is a version's number or an alias. Without an event the function gets {}. The answer goes to standard\n" +
		"output as the function wrote it, everything else to standard error, with the stages of a cold start if it had one.\n" +
		"The exit code is 3 when the function answered with an error. With --async the event is kept and delivered later, with retries:\n" +
		"the request id is printed, and `slipway events follow ID` shows what becomes of it.",
	positionals: [1, 1],
	options: {
		data: { type: "string", short: "d", value: "JSON", description: "The event" },
		file: { type: "string", short: "f", value: "FILE", description: "Read the event from a file; - is standard input" },
		tail: { type: "boolean", short: "t", description: "Show the last 4 KB of its log" },
		async: { type: "boolean", short: "a", description: "Don't wait for an answer: print the event's id" },
		...jsonOption,
	},
	examples: [
		["slipway invoke hello", "with {}"],
		[`slipway invoke hello -d '{"name":"you"}' --tail`, "with an event, and the log"],
		["slipway invoke hello:live", "the version that the alias 'live' names"],
		["slipway events follow $(slipway invoke hello --async)", "without waiting, then its retries as they come"],
		["jq -n '{a:1}' | slipway invoke hello --file -", "with an event from a pipe"],
	],
	run: invoke,
};

async function invoke(call: Call): Promise<number> {
	const { context, values, positionals } = call;
	const [name = ""] = positionals;
	const payload = await readEvent(text(values.data), text(values.file));
	const [functionName = "", qualifier] = name.split(/:(.*)/s);
	if (values.async) return invokeLater(call, functionName, payload, qualifier);
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

async function invokeLater(
	{ context, values }: Call,
	name: string,
	payload: Uint8Array<ArrayBuffer> | string,
	qualifier: string | undefined,
): Promise<number> {
	if (values.tail) throw new SlipwayError("INVALID", "--tail and --async exclude each other", { reason: "Usage" });
	const requestId = await context.client().events.invokeLater(name, payload, { qualifier });
	if (values.json) context.printJson({ requestId });
	else context.print(requestId);
	return exitCodes.ok;
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
