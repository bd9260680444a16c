/** Clients in Python: the newest that PyPI has, and ones from before SQS spoke JSON. */
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../tools/run.ts";
import { cacheFolder } from "../runtimes/image.ts";

/** pip through a slow mirror, milliseconds. */
const installTimeoutMs = 5 * 60_000;

/** The folder of these packages, installed once for all runs. */
export async function pythonPackages(name: string, ...requirements: string[]): Promise<string> {
	const folder = join(cacheFolder, `python-${name}`);
	if (existsSync(folder)) return folder;
	const temporary = `${folder}.${process.pid}`;
	await mkdir(cacheFolder, { recursive: true });
	try {
		const words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", temporary];
		await run("python3", [...words, ...requirements], { timeoutMs: installTimeoutMs });
		await rename(temporary, folder);
	} finally {
		await rm(temporary, { recursive: true, force: true });
	}
	return folder;
}

/** The last version line with the query protocol for SQS (AWS's JSON came with 1.28.82 in 2023). */
export const oldBoto3 = () => pythonPackages("boto3-1.26.165", "boto3==1.26.165");
export const newestTools = () => pythonPackages("newest", "boto3", "awscli");
