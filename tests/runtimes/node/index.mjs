/** Does what an event's "do" says: the behaviours of ../cases.ts in Node.js. */
import { setTimeout as sleep } from "node:timers/promises";

class Refused extends Error {
	name = "Refused";
}

if (process.env.INIT === "error") throw new Refused("told to fail at init");
if (process.env.INIT === "exit") process.exit(3);

let count = 0;

const actions = {
	echo: ({ value }) => value,
	nothing: () => undefined,
	count: () => count,
	length: ({ text }) => text.length,
	big: ({ size }) => "x".repeat(size),
	context,
	error: () => {
		throw new Refused("told to fail");
	},
	crash: () => {
		setTimeout(() => {
			throw new Refused("told to crash");
		}, 1);
		return new Promise(() => {});
	},
	reject: () => {
		Promise.reject(new Refused("told to reject"));
		return new Promise(() => {});
	},
	exit: ({ code }) => process.exit(code),
	hang: () => sleep(60_000),
	log: ({ text }) => {
		process.stdout.write(`${text} to stdout\n`);
		process.stderr.write(`${text} to stderr\n`);
		console.debug(`${text} at debug`);
		console.info(`${text} at info`);
		console.error(`${text} at error`);
		return "logged";
	},
};

export async function handler(event, context) {
	count++;
	return await actions[event.do](event, context);
}

export const streaming = awslambda.streamifyResponse(async (event, stream) => {
	stream.setContentType("text/plain");
	for (let i = 0; i < (event.repeat ?? 1); i++)
		for (const chunk of event.chunks) {
			stream.write(chunk);
			await sleep(event.pauseMs);
		}
	if (event.do === "stream-error") throw new Refused("told to fail midway");
	stream.end();
	await stream.finished?.();
});

function context(_event, context) {
	return {
		requestId: context.awsRequestId,
		remainingMs: context.getRemainingTimeInMillis(),
		functionArn: context.invokedFunctionArn,
		functionName: context.functionName,
		functionVersion: context.functionVersion,
		memoryMiB: Number(context.memoryLimitInMB),
		logGroup: context.logGroupName,
		logStream: context.logStreamName,
		appTitle: context.clientContext?.client?.app_title,
		colour: context.clientContext?.custom?.colour,
		traceId: process.env._X_AMZN_TRACE_ID,
		environment: process.env,
	};
}
