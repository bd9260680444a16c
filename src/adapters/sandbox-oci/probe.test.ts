import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { OciSandboxRuntime } from "./oci-sandbox-runtime.ts";
import { probeRuntimes } from "./probe.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";

const isRoot = process.getuid?.() === 0;

await inOwnMountNamespace(import.meta.filename, () => {
	test("every runtime is either usable or says why not and what to do", { skip: !isRoot && "needs root" }, async () => {
		const folder = mkdtempSync(join(tmpdir(), "slipway-probe-test-"));
		try {
			const strict = await probeRuntimes({ folder });
			const lenient = await probeRuntimes({ folder, allowVulnerableRuntime: true });
			assert.deepEqual(
				strict.map(({ name }) => name),
				["crun", "runc"],
			);
			for (const runtime of [...strict, ...lenient]) {
				if (runtime.usable) assert.match(runtime.version, /^\d+\.\d+/);
				else assert.ok(runtime.why && runtime.hint, JSON.stringify(runtime));
			}
			for (const [at, runtime] of strict.entries())
				if (runtime.why?.includes("CVE-")) {
					assert.equal(runtime.usable, false);
					assert.equal(lenient[at]!.usable, true, JSON.stringify(lenient[at]));
					assert.equal(lenient[at]!.why, runtime.why);
				}
			assert.deepEqual(readdirSync(folder), []);
		} finally {
			rmSync(folder, { recursive: true, force: true });
		}
	});

	test("a runtime with known ways out is refused by the CVE's name", async () => {
		const runtime = { name: "runc" as const, path: "/nowhere/runc", version: "1.1.11" };
		await assert.rejects(
			OciSandboxRuntime.open({ runtime, stateFolder: "/nowhere" }),
			(error) =>
				isSlipwayError(error, "UNAVAILABLE") && error.message.includes("CVE-2024-21626") && error.hint !== undefined,
		);
	});
});
