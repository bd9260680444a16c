/**
 * `npm start [-- --once]`: a daemon, the example functions built, pushed, created and invoked with the programs that a
 * user would type, and what they answered. Stays up until Ctrl-C; with --once it ends there, with exit code 0 only if
 * every answer was right.
 */
import { once } from "node:events";
import { parseArgs } from "node:util";
import { type Builder, findBuilder } from "./builder.ts";
import { deployFunction, imageBytes, invokeByCli, invokeByCurl, pushImage, registryPassword } from "./deploy.ts";
import { buildExample, type Example, isRightAnswer, readExamples } from "./examples.ts";
import { defaultHome, type LocalDaemon, runningDaemon, startDaemon } from "./local-daemon.ts";
import { formatTable, median } from "./table.ts";

/** Enough for a steady median, few enough to be over at once. */
const warmInvocations = 15;

interface Result {
	example: Example;
	bytes: number;
	coldMs: number;
	warmMs: number;
	/** Undefined when every answer was right. */
	wrong?: string;
}

const say = (line: string) => console.log(`slipway: ${line}`);

async function tryExample(daemon: LocalDaemon, builder: Builder, password: string, example: Example): Promise<Result> {
	const result: Result = { example, bytes: Number.NaN, coldMs: Number.NaN, warmMs: Number.NaN };
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

async function invokeBothWays(daemon: LocalDaemon, result: Result): Promise<string | undefined> {
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

function formatBytes(bytes: number): string {
	if (Number.isNaN(bytes)) return "–";
	return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function report(results: Result[]): string {
	const ms = (value: number) => (Number.isNaN(value) ? "–" : value.toFixed(1));
	return formatTable(
		["function", "image", "image size", "cold ms", "warm ms", "answer"],
		results.map(({ example, bytes, coldMs, warmMs, wrong }) => [
			example.name,
			example.image,
			formatBytes(bytes),
			ms(coldMs),
			ms(warmMs),
			wrong === undefined ? "ok" : "WRONG",
		]),
	);
}

function whatNext(daemon: LocalDaemon, results: Result[]): string {
	const { image: name, event } = results[0]?.example ?? { image: "NAME", event: {} };
	const payload = `'${JSON.stringify(event)}'`;
	return `
It stays up until Ctrl-C. In another terminal:

  eval "$(bin/slipway env)"
  aws lambda list-functions --query 'Functions[].FunctionName'
  aws lambda invoke --function-name ${name} --payload ${payload} /dev/stdout
  bin/slipway invoke ${name} -d ${payload} --tail
  bin/slipway logs ${name}
  bin/slipway ps
  aws ecr get-login-password | docker login --username AWS --password-stdin ${daemon.registry}
`;
}

async function findOrStartDaemon(): Promise<LocalDaemon> {
	const home = defaultHome();
	const running = runningDaemon(home);
	if (running !== undefined) {
		say(`using the daemon that is up already at ${running.url} (home ${home})`);
		return running;
	}
	say(`starting the daemon (home ${home})`);
	const daemon = await startDaemon({
		home,
		listen: process.env.SLIPWAY_LISTEN ?? "127.0.0.1:4747",
	});
	say(`the daemon answers at ${daemon.url}`);
	return daemon;
}

/** Everything up to the table; ends early when interrupted. */
async function tryExamples(daemon: LocalDaemon, builder: Builder, interrupted: AbortSignal): Promise<Result[]> {
	const password = await registryPassword(daemon);
	const results: Result[] = [];
	for (const example of await readExamples()) {
		if (interrupted.aborted) break;
		results.push(await tryExample(daemon, builder, password, example));
	}
	return results;
}

async function main(): Promise<void> {
	const { values } = parseArgs({ options: { once: { type: "boolean", default: false } } });
	const interrupt = new AbortController();
	for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => interrupt.abort());
	const interrupted = once(interrupt.signal, "abort");
	const builder = await findBuilder();
	await using daemon = await findOrStartDaemon();
	const results = await Promise.race([tryExamples(daemon, builder, interrupt.signal), interrupted.then(() => [])]);
	if (interrupt.signal.aborted) {
		process.exitCode = 130; // as a shell counts a program that Ctrl-C ended
		return;
	}
	console.log(`\n${report(results)}`);
	if (results.some(({ wrong }) => wrong !== undefined)) process.exitCode = 1;
	if (values.once) return;
	console.log(whatNext(daemon, results));
	await (daemon.process === undefined ? interrupted : Promise.race([interrupted, once(daemon.process, "exit")]));
	say("stopping");
}

try {
	await main();
} catch (error) {
	say(error instanceof Error ? error.message : String(error));
	process.exitCode = 1;
}
// A build that was interrupted may still be running its last program.
process.exit();
