/** Functions in real sandboxes of a daemon of the test's own, made of a busybox, a shell runtime and a shell extension. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before } from "node:test";
import type { CreateFunctionCommandInput } from "@aws-sdk/client-lambda";
import { type LocalDaemon, type StartOptions, startDaemon } from "../../../tools/local-daemon.ts";
import { FunctionClient } from "../../e2e/function-client.ts";
import { missingForFunctionImages, pushShellRuntime } from "../../e2e/function-image.ts";

export const skip = missingForFunctionImages();

export interface Sandboxes {
	readonly daemon: LocalDaemon;
	readonly client: FunctionClient;
	/** Creates a function of the shell runtime and waits until it is active. */
	create(name: string, change?: Partial<CreateFunctionCommandInput>, image?: string): Promise<void>;
	/** An image of the shell runtime with the shell extension under these names in /opt/extensions. */
	withExtensions(...names: string[]): Promise<string>;
	/** What the function's log holds, oldest first, once `until` is in it (at most 10 s). */
	log(name: string, until?: RegExp): Promise<string[]>;
	/** What a command prints inside of the function's sandbox, newlines as "|". */
	sh(name: string, command: string): Promise<string>;
}

/** Starts the daemon before the file's first test and stops it after the last. */
export function useSandboxes(options: StartOptions = {}): Sandboxes {
	let daemon: LocalDaemon;
	let client: FunctionClient;
	let shell: string;
	const images = new Map<string, Promise<string>>();

	before(async () => {
		if (skip) return;
		daemon = await startDaemon(options);
		client = new FunctionClient(daemon);
		shell = await pushShellRuntime(daemon, "shell");
	});
	after(async () => {
		client?.[Symbol.dispose]();
		await daemon?.[Symbol.asyncDispose]();
	});

	return {
		get daemon() {
			return daemon;
		},
		get client() {
			return client;
		},
		async create(name, change = {}, image = shell) {
			await client.createActive(name, image, change);
		},
		withExtensions(...names) {
			const key = names.join("-");
			const known = images.get(key) ?? pushWithExtensions(daemon, key, names);
			images.set(key, known);
			return known;
		},
		async log(name, until = /^REPORT /m) {
			for (let attempt = 0; ; attempt++) {
				const answer = await client.native(`/functions/${name}/logs?limit=1000`);
				const lines = (await answer.text())
					.split("\n")
					.filter((line) => line !== "")
					.map((line) => (JSON.parse(line) as { message: string }).message);
				if (until.test(lines.join("\n")) || attempt === 200) return lines;
				await new Promise((resolve) => setTimeout(resolve, 50));
			}
		},
		async sh(name, command) {
			return String((await client.invoke(name, { do: "sh", command })).json);
		},
	};
}

async function pushWithExtensions(daemon: LocalDaemon, key: string, names: string[]): Promise<string> {
	const script = await readFile(join(import.meta.dirname, "../../e2e/fixtures/extension.sh"));
	const more = Object.fromEntries(names.map((name) => [`opt/extensions/${name}`, script]));
	return pushShellRuntime(daemon, `ext-${key}`, {}, more);
}
