import type { Workload, WorkloadContainer } from "../../../core/workload/workload.ts";

const emptyImage = {
	diffIds: [],
	entrypoint: [],
	cmd: [],
	env: {},
	workingDir: "",
	user: "",
	architecture: "amd64",
	size: 0,
};

export function testContainer(more: Partial<WorkloadContainer> = {}): WorkloadContainer {
	return {
		name: "main",
		image: emptyImage,
		imageDigest: `registry.test/image@sha256:${"0".repeat(64)}`,
		args: ["main"],
		env: { PATH: "/bin" },
		cwd: "/",
		port: { number: 8080, protocol: "http1" },
		limits: { memoryMiB: 64, cpus: 1, pids: 64, openFiles: 256 },
		startupCpuBoost: false,
		startupProbe: undefined,
		livenessProbe: undefined,
		readinessProbe: undefined,
		mounts: [],
		dependsOn: [],
		readOnlyRoot: false,
		capabilities: [],
		user: undefined,
		...more,
	};
}

export function testWorkload(containers: Partial<WorkloadContainer>[] = [{}], more: Partial<Workload> = {}): Workload {
	return { containers: containers.map(testContainer), volumes: [], graceMs: 10_000, egress: false, ...more };
}
