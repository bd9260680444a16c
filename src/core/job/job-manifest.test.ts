import assert from "node:assert/strict";
import { test } from "node:test";
import { instanceCount, readJobManifest, readOverrides, readWorkerPoolManifest } from "./job-manifest.ts";

const container = { image: "127.0.0.1/app:1" };

function job(execution: object = {}, task: object = {}): object {
	return {
		apiVersion: "run.googleapis.com/v1",
		kind: "Job",
		metadata: { name: "x" },
		spec: { template: { spec: { ...execution, template: { spec: { containers: [container], ...task } } } } },
	};
}

test("Defaults: one task, as parallel as possible, three retries, ten minutes", () => {
	const { spec } = readJobManifest(job(), "default");
	assert.deepEqual(spec.template.spec, {
		taskCount: 1,
		parallelism: 0,
		template: {
			spec: { containers: [{ name: "container-0", ...container }], maxRetries: 3, timeoutSeconds: 600 },
		},
	});
});

const refused: [string, unknown, RegExp][] = [
	["nothing", undefined, /must be an object of kind Job/],
	["a list", [], /must be an object of kind Job/],
	["another kind", { ...job(), kind: "Service" }, /invalid value: Service: kind\nmust be "Job"/],
	["another version", { ...job(), apiVersion: "v1" }, /invalid value: v1: apiVersion/],
	["no name", { ...job(), metadata: {} }, /metadata\.name/],
	["a name that is none", { ...job(), metadata: { name: "Ä" } }, /invalid value: Ä: metadata\.name/],
	["a long name", { ...job(), metadata: { name: "a".repeat(50) } }, /at most 49 characters/],
	["another namespace", { ...job(), metadata: { name: "x", namespace: "other" } }, /must be "default"/],
	["no spec", { ...job(), spec: undefined }, /missing field\(s\): spec, spec\.template/],
	["no tasks", job({ taskCount: 0 }), /expected 1 <= 0 <= 10000: spec\.template\.spec\.taskCount/],
	["too many retries", job({}, { maxRetries: 11 }), /expected 0 <= 11 <= 10: .*maxRetries/],
	["too long", job({}, { timeoutSeconds: 86_401 }), /invalid value: 86401: .*timeoutSeconds/],
	[
		"an unknown field",
		job({}, { retries: 1 }),
		/must not set the field\(s\): spec\.template\.spec\.template\.spec\.retries/,
	],
	["no container", job({}, { containers: [] }), /missing field\(s\): .*containers/],
	["no image", job({}, { containers: [{}] }), /missing field\(s\): .*containers\[0\]\.image/],
	[
		"a port",
		job({}, { containers: [{ ...container, ports: [{ containerPort: 80 }] }] }),
		/containers\[0\]\.ports\njobs and workers get no requests/,
	],
	[
		"a reserved variable",
		job({}, { containers: [{ ...container, env: [{ name: "CLOUD_RUN_JOB", value: "y" }] }] }),
		/CLOUD_RUN_JOB: .*env\[0\]\.name\nis set by the platform/,
	],
	[
		"a value from elsewhere",
		job({}, { containers: [{ ...container, env: [{ name: "A", valueFrom: {} }] }] }),
		/env\[0\]\.valueFrom/,
	],
	[
		"no quantity",
		job({}, { containers: [{ ...container, resources: { limits: { memory: "lots" } } }] }),
		/invalid value: lots: .*limits\.memory/,
	],
	[
		"a mount of nothing",
		job({}, { containers: [{ ...container, volumeMounts: [{ name: "v", mountPath: "/v" }] }] }),
		/invalid value: v: .*volumeMounts\[0\]/,
	],
	[
		"a path out",
		job(
			{},
			{
				volumes: [{ name: "v", emptyDir: {} }],
				containers: [{ ...container, volumeMounts: [{ name: "v", mountPath: "/a/../b" }] }],
			},
		),
		/mountPath/,
	],
	[
		"a persistent volume",
		job({}, { volumes: [{ name: "v", persistentVolumeClaim: { claimName: "c" } }] }),
		/persistentVolumeClaim/,
	],
];

for (const [what, manifest, message] of refused)
	test(`Refused: ${what}`, () => {
		assert.throws(() => readJobManifest(manifest, "default"), { message, code: "INVALID", reason: "Invalid" });
	});

test("Workers: instances by annotation, persistent volumes, probes with a port of their own", () => {
	const pool = (annotations: object, spec: object = {}) => ({
		apiVersion: "run.googleapis.com/v1",
		kind: "WorkerPool",
		metadata: { name: "w", annotations },
		spec: { template: { spec: { containers: [container], ...spec } } },
	});
	const { annotations, spec } = readWorkerPoolManifest(
		pool(
			{ "run.googleapis.com/manualInstanceCount": "3" },
			{ volumes: [{ name: "data", persistentVolumeClaim: { claimName: "queue" } }] },
		),
		"default",
	);
	assert.equal(instanceCount(annotations), 3);
	assert.deepEqual(spec.template.spec.volumes, [{ name: "data", persistentVolumeClaim: { claimName: "queue" } }]);
	assert.equal(spec.template.spec.terminationGracePeriodSeconds, 10);
	for (const count of ["-1", "101", "many"])
		assert.throws(() => readWorkerPoolManifest(pool({ "run.googleapis.com/manualInstanceCount": count }), "default"), {
			message: /manualInstanceCount.*\n?.*must be 0 to 100/,
		});
	const probe = { containers: [{ ...container, livenessProbe: { httpGet: { path: "/" } } }] };
	assert.throws(() => readWorkerPoolManifest(pool({}, probe), "default"), { message: /livenessProbe\.httpGet\.port/ });
});

test("Overrides are checked as a manifest is", () => {
	assert.deepEqual(readOverrides(undefined), {});
	assert.deepEqual(readOverrides({ taskCount: 2, timeoutSeconds: "30" }), { taskCount: 2, timeoutSeconds: 30 });
	assert.throws(() => readOverrides({ taskCount: 0 }), { message: /overrides\.taskCount/ });
	assert.throws(() => readOverrides({ image: "x" }), { message: /overrides\.image/ });
});
