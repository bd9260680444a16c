import { FakeSandboxRuntime } from "./fake-sandbox-runtime.ts";
import { type SandboxContractHarness, sandboxRuntimeContract } from "./sandbox-runtime.contract.ts";
import { contractFakeProgram } from "./sandbox-runtime.programs.ts";
import { serviceSandboxContract } from "./service-sandbox.contract.ts";

for (const contract of [sandboxRuntimeContract, serviceSandboxContract])
	contract("fake", async (): Promise<SandboxContractHarness> => {
		const runtime = new FakeSandboxRuntime({ program: contractFakeProgram });
		return {
			runtime,
			rootfs: "/nowhere",
			args: (program, ...args) => [program, ...args],
			[Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose](),
		};
	});
