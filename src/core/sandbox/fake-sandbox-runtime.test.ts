import { FakeSandboxRuntime } from "./fake-sandbox-runtime.ts";
import { sandboxRuntimeContract } from "./sandbox-runtime.contract.ts";
import { contractFakeProgram } from "./sandbox-runtime.programs.ts";

sandboxRuntimeContract("fake", async () => {
	const runtime = new FakeSandboxRuntime({ program: contractFakeProgram });
	return {
		runtime,
		rootfs: "/nowhere",
		args: (program, ...args) => [program, ...args],
		[Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose](),
	};
});
