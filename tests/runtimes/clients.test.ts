/** Every runtime client with every case of cases.ts: images built here, functions in a real daemon, called through the SDK. */
import { after, before, describe } from "node:test";
import type { CreateFunctionCommandInput } from "@aws-sdk/client-lambda";
import { type Builder, findBuilder } from "../../tools/builder.ts";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { clause } from "../conformance/lambda/clause.ts";
import { FunctionClient } from "../e2e/function-client.ts";
import { type Bench, type Case, cases, type Feature } from "./cases.ts";
import { type RuntimeClient, runtimeClients } from "./clients.ts";
import { featuresOf } from "./features.ts";
import { TestFunction } from "./function.ts";
import { buildImage, pushImage, Unavailable } from "./image.ts";

/** `SLIPWAY_RUNTIMES=go,python`: only the clients with these image names. */
const wanted = process.env.SLIPWAY_RUNTIMES?.split(",");
const skip = process.getuid?.() === 0 ? false : "sandboxes and base images need root";
/** A first build of an image, base image and compilers included. */
const buildTimeoutMs = 15 * 60_000;
const caseTimeoutMs = 120_000;

const say = (line: string) => process.stderr.write(`${line}\n`);

describe("runtime clients", { skip }, () => {
	let daemon: LocalDaemon;
	let builder: Builder;
	let lambda: FunctionClient;
	const features: { found?: Set<Feature> } = {};

	before(async () => {
		builder = await findBuilder();
		daemon = await startDaemon();
		lambda = new FunctionClient(daemon);
	});
	after(async () => {
		lambda?.[Symbol.dispose]();
		await daemon?.[Symbol.asyncDispose]();
	});

	for (const client of runtimeClients.filter(({ image }) => wanted?.includes(image.name) ?? true))
		describe(client.name, () => {
			let bench: Bench | undefined;
			let unavailable: string | undefined;

			before(
				async () => {
					try {
						const image = await buildImage(client.image, builder, say);
						const uri = await pushImage(daemon, builder, image, client.image.name);
						bench = { client, daemon, function: functionsOf(lambda, client, uri) };
						features.found ??= await featuresOf(daemon, uri);
					} catch (error) {
						if (!(error instanceof Unavailable)) throw error;
						unavailable = error.message;
					}
				},
				{ timeout: buildTimeoutMs },
			);

			for (const item of cases.filter(({ appliesTo }) => appliesTo?.(client) ?? true))
				clause(
					{ area: "Runtime clients", says: `${client.name}: ${item.says}`, source: client.source },
					async (context) => {
						const reason = unavailable ?? missing(item, features.found);
						if (reason !== undefined) return context.skip(reason);
						await item.run(bench as Bench);
					},
					{ timeout: caseTimeoutMs },
				);
		});
});

function missing(item: Case, features: Set<Feature> | undefined): string | undefined {
	return item.needs === undefined || features?.has(item.needs) ? undefined : `the daemon has no ${item.needs}`;
}

function functionsOf(lambda: FunctionClient, client: RuntimeClient, uri: string): Bench["function"] {
	const made = new Map<string, Promise<TestFunction>>();
	return (name: string, change: Partial<CreateFunctionCommandInput> = {}) => {
		const full = `${client.image.name}-${name}`;
		const found = made.get(full) ?? TestFunction.create(lambda, full, uri, { MemorySize: client.memoryMiB, ...change });
		made.set(full, found);
		return found;
	};
}
