import { test } from "node:test";
import { sandboxRuntimeContract } from "../../core/sandbox/sandbox-runtime.contract.ts";
import { type OciRuntimeName, openOciHarness, whyNot } from "./testing/oci-harness.ts";
import { inOwnMountNamespace } from "./testing/own-mount-namespace.ts";

await inOwnMountNamespace(import.meta.filename, () => {
	for (const name of ["crun", "runc"] satisfies OciRuntimeName[]) {
		const reason = whyNot(name);
		if (reason) test(`SandboxRuntime contract: ${name}`, { skip: reason });
		else sandboxRuntimeContract(name, () => openOciHarness(name));
	}
});
