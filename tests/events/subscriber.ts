/** The service of subject/subscriber.mjs, which parses what it gets with the CloudEvents SDK. */
import { ask, deploy } from "../services/service-client.ts";
import { until, type World } from "./world.ts";

export interface Received {
	path: string;
	/** As the CloudEvents SDK has it. */
	event?: Record<string, unknown>;
	contentType?: string;
	/** Why it was none to that. */
	error?: string;
	headers?: Record<string, string>;
	body?: string;
}

export interface Subscriber {
	arn(path: string): string;
	/** So many, when they are there. */
	received(count: number): Promise<Received[]>;
}

export async function subscriber(w: World, name: string): Promise<Subscriber> {
	const program = ["--command", "/var/lang/bin/node", "--args", "/var/task/subscriber.mjs"];
	// One instance, as it keeps what it got in memory.
	await deploy(w.daemon, name, w.image, ...program, "--min-instances", "1", "--max-instances", "1");
	const { region, credentials } = w.daemon;
	return {
		arn: (path) => `arn:slipway:run:${region}:${credentials.accountId}:service/default/${name}${path}`,
		received: (count) =>
			until(`${count} requests at ${name}`, async () => {
				const seen = JSON.parse((await ask(w.daemon, name)).text) as Received[];
				return seen.length >= count ? seen : undefined;
			}),
	};
}
