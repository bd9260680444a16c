/** The example functions, tried as a user would: pushed, created, invoked with curl and the aws CLI. */
import type { Builder } from "./builder.ts";
import { deployFunction, imageBytes, invokeByCli, invokeByCurl, pushImage } from "./deploy.ts";
import { buildExample, type Example, isRightAnswer } from "./examples.ts";
import type { LocalDaemon } from "./local-daemon.ts";
import { formatBytes, formatMs, formatTable, median } from "./table.ts";

/** Enough for a steady median, few enough to be over at once. */
const warmInvocations = 15;

export interface FunctionResult {
	example: Example;
	bytes: number;
	coldMs: number;
	warmMs: number;
	/** Undefined when every answer was right. */
	wrong?: string;
}

export async function tryFunction(
	daemon: LocalDaemon,
	builder: Builder,
	password: string,
	example: Example,
	say: (line: string) => void,
): Promise<FunctionResult> {
	const result: FunctionResult = { example, bytes: Number.NaN, coldMs: Number.NaN, warmMs: Number.NaN };
	try {
		say(`${example.name}: building ${example.image} with ${builder.name}`);
		await buildExample(example, builder, say);
		say(`${example.name}: pushing it to ${daemon.registry}/${example.image}`);
		const imageUri = await pushImage(daemon, builder, example.image, password);
		say(`${example.name}: creating the function`);
		await deployFunction(daemon, example, imageUri);
		result.bytes = await imageBytes(daemon, example.image);
		say(`${example.name}: invoking it`);
		const wrong = await invokeBothWays(daemon, result);
		if (wrong !== undefined) result.wrong = wrong;
	} catch (error) {
		result.wrong = error instanceof Error ? error.message : String(error);
	}
	if (result.wrong !== undefined) say(`${example.name}: ${result.wrong}`);
	return result;
}

async function invokeBothWays(daemon: LocalDaemon, result: FunctionResult): Promise<string | undefined> {
	const { image, event } = result.example;
	const first = await invokeByCurl(daemon, image, event);
	result.coldMs = first.ms;
	const bodies = [first.body];
	const warm: number[] = [];
	for (let count = 0; count < warmInvocations; count++) {
		const answer = await invokeByCurl(daemon, image, event);
		warm.push(answer.ms);
		bodies.push(answer.body);
	}
	result.warmMs = median(warm);
	bodies.push(await invokeByCli(daemon, image, event));
	const wrong = bodies.find((body) => !isRightAnswer(result.example, body));
	return wrong === undefined ? undefined : `a wrong answer: ${wrong.slice(0, 500)}`;
}

export function functionReport(results: readonly FunctionResult[]): string {
	return formatTable(
		["function", "image", "image size", "cold ms", "warm ms", "answer"],
		results.map(({ example, bytes, coldMs, warmMs, wrong }) => [
			example.name,
			example.image,
			formatBytes(bytes),
			formatMs(coldMs),
			formatMs(warmMs),
			wrong === undefined ? "ok" : "WRONG",
		]),
	);
}
