import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Builder } from "./builder.ts";
import type { Example } from "./examples.ts";
import type { LocalDaemon } from "./local-daemon.ts";
import { attempt, run } from "./run.ts";

/** The steps of 'push an image, create a function, invoke it', with the programs that a user would type. */

/** A waiter of the CLI gives up by itself after 5 minutes; this ends one that hangs. */
const awsTimeoutMs = 400_000;
const curlTimeoutS = 60;

/** Debian 12's CLI (2.9) does not read AWS_ENDPOINT_URL; every one knows this option. */
function toDaemon(daemon: LocalDaemon, words: string[]): string[] {
	return ["--endpoint-url", daemon.url, ...words];
}

export function aws(daemon: LocalDaemon, ...words: string[]): Promise<string> {
	const options = { env: daemon.awsEnv, timeoutMs: awsTimeoutMs };
	return run("aws", toDaemon(daemon, [...words, "--output", "json"]), options);
}

export async function registryPassword(daemon: LocalDaemon): Promise<string> {
	const options = { env: daemon.awsEnv, timeoutMs: awsTimeoutMs };
	return (await run("aws", toDaemon(daemon, ["ecr", "get-login-password"]), options)).trim();
}

/** `docker push` or `buildah push`; returns the image's name in the registry. */
export async function pushImage(
	daemon: LocalDaemon,
	builder: Builder,
	image: string,
	password: string,
): Promise<string> {
	const target = `${daemon.registry}/${image}:latest`;
	await builder.push(image, target, { username: "AWS", password });
	return target;
}

/** Creates the function, or updates the one of that name, and waits until it can be invoked. */
export async function deployFunction(daemon: LocalDaemon, example: Example, imageUri: string): Promise<void> {
	const name = ["--function-name", example.image];
	const exists = await attempt("aws", toDaemon(daemon, ["lambda", "get-function", ...name]), {
		env: daemon.awsEnv,
		timeoutMs: awsTimeoutMs,
	});
	const memory = ["--memory-size", String(example.memoryMiB ?? 128)];
	if (exists.code === 0) {
		await aws(daemon, "lambda", "update-function-code", ...name, "--image-uri", imageUri);
		await aws(daemon, "lambda", "wait", "function-updated-v2", ...name);
		return;
	}
	const code = ["--package-type", "Image", "--code", `ImageUri=${imageUri}`, "--role", daemon.roleArn];
	await aws(daemon, "lambda", "create-function", ...name, ...code, ...memory, "--timeout", "30");
	await aws(daemon, "lambda", "wait", "function-active-v2", ...name);
}

export async function imageBytes(daemon: LocalDaemon, image: string): Promise<number> {
	const words = ["ecr", "describe-images", "--repository-name", image, "--image-ids", "imageTag=latest"];
	const answer = JSON.parse(await aws(daemon, ...words)) as { imageDetails?: { imageSizeInBytes?: number }[] };
	return answer.imageDetails?.[0]?.imageSizeInBytes ?? Number.NaN;
}

/** `aws lambda invoke`; returns the payload of the answer, or throws when the CLI or the function failed. */
export async function invokeByCli(daemon: LocalDaemon, name: string, event: unknown): Promise<string> {
	const folder = await mkdtemp(join(tmpdir(), "slipway-invoke-"));
	try {
		const [input, output] = [join(folder, "in.json"), join(folder, "out.json")];
		await writeFile(input, JSON.stringify(event));
		const words = ["--function-name", name, "--payload", `fileb://${input}`, output];
		const answer = JSON.parse(await aws(daemon, "lambda", "invoke", ...words)) as { FunctionError?: string };
		const body = await readFile(output, "utf8");
		if (answer.FunctionError !== undefined) throw new Error(`The function failed (${answer.FunctionError}): ${body}`);
		return body;
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

export interface CurlAnswer {
	status: number;
	body: string;
	/** From the request's start to the response's end, without connecting or starting curl. */
	ms: number;
}

/** The words of a signed curl call, as a user would type them after `slipway env`. */
export function curlWords(daemon: LocalDaemon, name: string, event: unknown): string[] {
	return [
		`${daemon.url}/2015-03-31/functions/${name}/invocations`,
		...["--aws-sigv4", `aws:amz:${daemon.region}:lambda`],
		...["-d", JSON.stringify(event)],
	];
}

export async function invokeByCurl(daemon: LocalDaemon, name: string, event: unknown): Promise<CurlAnswer> {
	const { accessKeyId, secretAccessKey } = daemon.credentials;
	const format = "\n%{http_code} %{time_total} %{time_pretransfer}";
	// The keys go through a configuration on standard input: arguments can be read by every user of the machine.
	const words = ["-sS", "--max-time", String(curlTimeoutS), "-K", "-", "-w", format, ...curlWords(daemon, name, event)];
	const output = await run("curl", words, { input: `user = "${accessKeyId}:${secretAccessKey}"\n` });
	const cut = output.lastIndexOf("\n");
	const [status = "0", total = "NaN", before = "NaN"] = output.slice(cut + 1).split(" ");
	return { status: Number(status), body: output.slice(0, cut), ms: (Number(total) - Number(before)) * 1000 };
}
