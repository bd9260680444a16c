import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

/** Node's fetch implementation: 15 MB (see base/http.ts). */
const unwanted = "internal/deps/undici/undici";

test("the daemon's code loads no fetch implementation", async () => {
	const script = `await import(${JSON.stringify(new URL("./wiring.ts", import.meta.url).href)}); console.log(JSON.stringify(process.moduleLoadList))`;
	const { stdout } = await promisify(execFile)(process.execPath, [
		"--disable-warning=ExperimentalWarning",
		"--input-type=module",
		"--eval",
		script,
	]);
	const loaded = (JSON.parse(stdout) as string[]).map((entry) => entry.split(" ")[1] ?? "");
	assert.ok(loaded.includes("http"), "the list of modules is not what it was");
	assert.ok(!loaded.includes(unwanted), `something loads ${unwanted}`);
});
