import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sandboxRuntimeContract } from "../../core/sandbox/sandbox-runtime.contract.ts";
import { serviceSandboxContract } from "../../core/sandbox/service-sandbox.contract.ts";
import { mountsBelow } from "./mount-points.ts";
import { OciSandboxRuntime } from "./oci-sandbox-runtime.ts";
import { type OciRuntimeName, openOciHarness, whyNot } from "./testing/oci-harness.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";

await inOwnMountNamespace(import.meta.filename, () => {
	for (const name of ["crun", "runc"] satisfies OciRuntimeName[]) {
		const reason = whyNot(name);
		if (reason) test(`SandboxRuntime contract: ${name}`, { skip: reason });
		else {
			sandboxRuntimeContract(name, () => openOciHarness(name));
			serviceSandboxContract(name, () => openOciHarness(name));
		}
	}

	test("an opening that fails leaves neither mounts nor descriptors nor threads", {
		skip: whyNot("crun") ?? false,
	}, async (t) => {
		const folder = mkdtempSync(join(tmpdir(), "slipway-open-"));
		t.after(() => rmSync(folder, { recursive: true }));
		const open = () =>
			OciSandboxRuntime.open({
				runtime: { name: "crun", path: join(folder, "nothing"), version: "0.0.0" },
				stateFolder: join(folder, "state"),
				allowVulnerableRuntime: true,
			});
		const counts = () => ["fd", "task"].map((what) => readdirSync(`/proc/self/${what}`).length);
		await assert.rejects(open(), { code: "ENOENT" });
		const before = counts();
		for (let round = 0; round < 3; round++) await assert.rejects(open(), { code: "ENOENT" });
		assert.deepEqual(counts(), before);
		assert.deepEqual(mountsBelow(folder), []);
	});
});
