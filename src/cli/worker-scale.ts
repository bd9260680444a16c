import { namespaceOf, namespaceOption, usage } from "./options.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";
import { untilRunning } from "./worker-deploy.ts";

export const verb: Verb = {
	usage: "worker scale NAME COUNT [-n NAMESPACE]",
	summary: "Say how many instances of a worker run",
	positionals: [2, 2],
	options: { ...namespaceOption, ...jsonOption },
	examples: [["slipway worker scale mailer 3", ""]],
	run: scale,
};

async function scale(call: Call): Promise<number> {
	const { context, values, positionals } = call;
	const [name = "", count = ""] = positionals;
	if (!/^\d{1,3}$/.test(count)) throw usage(`'${count}' must be a number of instances`);
	const scaled = await context.client().workloads.scaleWorker(namespaceOf(call), name, Number(count));
	const worker = await untilRunning(context, scaled);
	if (values.json) context.printJson(worker);
	else context.print(`${name}: ${worker.status.readyInstances} of ${worker.status.desiredInstances} instances`);
	return exitCodes.ok;
}
