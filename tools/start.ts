/**
 * `npm start [-- --once]`: a daemon, the example functions and services built, pushed, deployed and called with the programs
 * that a user would type, and what they answered. Stays up until Ctrl-C; with --once it ends there, with exit code 0 only if
 * every answer was right.
 */
import { once } from "node:events";
import { parseArgs } from "node:util";
import { type Builder, findBuilder } from "./builder.ts";
import { registryPassword } from "./deploy.ts";
import { readExamples } from "./examples.ts";
import { defaultHome, type LocalDaemon, runningDaemon, startDaemon } from "./local-daemon.ts";
import { readServiceExamples } from "./service-examples.ts";
import { type FunctionResult, functionReport, tryFunction } from "./try-function.ts";
import { type ServiceResult, serviceReport, tryService } from "./try-service.ts";

interface Results {
	functions: FunctionResult[];
	services: ServiceResult[];
}

const say = (line: string) => console.log(`slipway: ${line}`);

function whatNext(daemon: LocalDaemon, { functions, services }: Results): string {
	const { image: name, event } = functions[0]?.example ?? { image: "NAME", event: {} };
	const { example, url } = services[0] ?? { example: { image: "NAME" }, url: "URL" };
	const payload = `'${JSON.stringify(event)}'`;
	return `
It stays up until Ctrl-C. In another terminal:

  eval "$(bin/slipway env)"
  aws lambda list-functions --query 'Functions[].FunctionName'
  aws lambda invoke --function-name ${name} --payload ${payload} /dev/stdout
  bin/slipway invoke ${name} -d ${payload} --tail
  bin/slipway logs ${name}
  curl ${url}
  bin/slipway service watch ${example.image}
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

/** Everything up to the tables; ends early when interrupted. */
async function tryExamples(daemon: LocalDaemon, builder: Builder, interrupted: AbortSignal): Promise<Results> {
	const password = await registryPassword(daemon);
	const results: Results = { functions: [], services: [] };
	for (const example of await readExamples()) {
		if (interrupted.aborted) return results;
		results.functions.push(await tryFunction(daemon, builder, password, example, say));
	}
	for (const example of await readServiceExamples()) {
		if (interrupted.aborted) return results;
		results.services.push(await tryService(daemon, builder, password, example, say));
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
	const results = await Promise.race([
		tryExamples(daemon, builder, interrupt.signal),
		interrupted.then((): Results => ({ functions: [], services: [] })),
	]);
	if (interrupt.signal.aborted) {
		process.exitCode = 130; // as a shell counts a program that Ctrl-C ended
		return;
	}
	console.log(`\n${functionReport(results.functions)}\n\n${serviceReport(results.services)}`);
	if ([...results.functions, ...results.services].some(({ wrong }) => wrong !== undefined)) process.exitCode = 1;
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
