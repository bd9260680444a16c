import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

/** Node's fetch implementation: 15 MB (see base/http.ts). */
const unwanted = "internal/deps/undici/undici";
/** What the daemon can't start without. Others (SDKs' schemas, brokers' clients, TLS) come with the first request that needs them. */
const packages = ["@smithy/core", "@smithy/types", "zod"];
/** Bytes of source, which stay in memory with three times as much of what is made of them. */
const maxSourceBytes = 4_600_000;

interface Loaded {
	builtins: string[];
	files: Record<string, number>;
}

async function loadedByDaemon(): Promise<Loaded> {
	const script = `
		import { statSync } from "node:fs";
		import { registerHooks } from "node:module";
		const files = {};
		registerHooks({ load(url, context, next) {
			if (url.startsWith("file:")) files[url] = statSync(new URL(url)).size;
			return next(url, context);
		} });
		await import(${JSON.stringify(new URL("./wiring.ts", import.meta.url).href)});
		console.log(JSON.stringify({ builtins: process.moduleLoadList.map((entry) => entry.split(" ")[1]), files }));`;
	const { stdout } = await promisify(execFile)(
		process.execPath,
		["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", script],
		{ maxBuffer: 16 * 1024 * 1024 },
	);
	return JSON.parse(stdout) as Loaded;
}

test("the daemon's start loads little: no fetch implementation, no client of anything, a bounded amount of code", async () => {
	const { builtins, files } = await loadedByDaemon();
	assert.ok(builtins.includes("http"), "the list of modules is not what it was");
	assert.ok(!builtins.includes(unwanted), `something loads ${unwanted}`);
	const paths = Object.keys(files);
	const found = new Set(paths.flatMap((path) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []));
	assert.deepEqual([...found].sort(), packages);
	const bytes = Object.values(files).reduce((sum, size) => sum + size, 0);
	assert.ok(bytes <= maxSourceBytes, `${bytes} bytes of source in ${paths.length} files`);
});
