import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import type { RunnableImage } from "../function/function.ts";
import { type RevisionInput, revisionFromTemplate } from "./revision-from-template.ts";
import type { ServiceProfile } from "./service-revision.ts";
import { validateService } from "./validate-service.ts";

const image: RunnableImage = {
	diffIds: [],
	entrypoint: ["/server"],
	cmd: ["--listen"],
	env: { PATH: "/bin", A: "image" },
	workingDir: "",
	user: "",
	architecture: "x86_64",
	size: 1,
};

function revision(
	container: Record<string, unknown>,
	{
		profile = "knative",
		annotations = {},
		spec = {},
		service = {},
		of = image,
	}: {
		profile?: ServiceProfile;
		annotations?: Record<string, string>;
		spec?: Record<string, unknown>;
		service?: Record<string, string>;
		of?: RunnableImage;
	} = {},
) {
	const draft = validateService(
		{
			apiVersion: "serving.knative.dev/v1",
			kind: "Service",
			metadata: { name: "hello", annotations: service },
			spec: {
				template: { metadata: { annotations }, spec: { containers: [{ image: "hello", ...container }], ...spec } },
			},
		},
		{ namespace: "default", profile },
	);
	const images = new Map(
		draft.spec.template.spec.containers.map(({ name }) => [name, { imageDigest: "r/h@sha256:x", image: of }]),
	);
	const input: RevisionInput = {
		namespace: "default",
		service: "hello",
		name: "hello-00001",
		uid: "u",
		profile: draft.profile,
		template: draft.spec.template,
		annotations: draft.annotations,
		images,
	};
	return revisionFromTemplate(input);
}

describe("revisionFromTemplate", () => {
	it("has Knative's defaults", () => {
		const made = revision({});
		const [container] = made.workload.containers;
		assert.deepEqual(
			[
				made.concurrency,
				made.timeoutMs,
				made.responseStartTimeoutMs,
				made.idleTimeoutMs,
				made.cpu,
				made.progressDeadlineMs,
			],
			[0, 300_000, 300_000, undefined, "always", 600_000],
		);
		assert.equal(made.workload.graceMs, 300_000);
		assert.deepEqual(container?.port, { number: 8080, protocol: "http1" });
		assert.deepEqual(container?.startupProbe, {
			check: { kind: "tcp", port: 8080 },
			initialDelayMs: 0,
			timeoutMs: 1000,
			periodMs: 0,
			successThreshold: 1,
			failureThreshold: 1,
		});
		assert.equal(container?.readinessProbe, undefined);
		assert.deepEqual([container?.args, container?.cwd, container?.user], [["/server", "--listen"], "/", undefined]);
		assert.deepEqual(container?.limits, { memoryMiB: 512, cpus: 1, cpuRequest: 1, pids: 4096, openFiles: 65_536 });
	});

	it("has Cloud Run's", () => {
		const made = revision({ resources: { limits: { cpu: "2000m", memory: "1Gi" } } }, { profile: "cloudrun" });
		const [container] = made.workload.containers;
		assert.deepEqual(
			[made.concurrency, made.cpu, made.workload.graceMs, made.scaling.maxScale],
			[80, "request", 10_000, 100],
		);
		assert.equal(container?.startupProbe?.timeoutMs, 240_000);
		assert.deepEqual([container?.limits.cpus, container?.limits.memoryMiB], [2, 1024]);
	});

	it("joins command, arguments and environment as Kubernetes does", () => {
		const args = (container: Record<string, unknown>, profile?: ServiceProfile) =>
			revision(container, profile ? { profile } : {}).workload.containers[0];
		assert.deepEqual(args({ command: ["/other"] })?.args, ["/other"]);
		assert.deepEqual(args({ args: ["-x"] })?.args, ["/server", "-x"]);
		const env = [
			{ name: "A", value: "1" },
			{ name: "B", value: "$(A)$(PORT)" },
		];
		const both = args({ command: ["/c", "$(B)"], args: ["$(K_REVISION)"], env });
		assert.deepEqual(both?.args, ["/c", "18080", "hello-00001"]);
		assert.deepEqual(both?.env, { PATH: "/bin", A: "1", B: "18080" });
		assert.deepEqual(args({ args: ["$(A)"], env }, "cloudrun")?.args, ["/server", "$(A)"]);
	});

	it("knows core services, volumes and what scales all revisions of a service", () => {
		const made = revision(
			{ volumeMounts: [{ name: "d", mountPath: "/d" }] },
			{
				annotations: {
					"slipway.dev/core": "true",
					"slipway.dev/egress": "none",
					"autoscaling.knative.dev/max-scale": "9",
				},
				spec: { volumes: [{ name: "d", persistentVolumeClaim: { claimName: "data" } }] },
			},
		);
		assert.deepEqual(
			[made.scaling.minScale, made.scaling.maxScale, made.workload.egress, made.cpu],
			[1, 1, false, "always"],
		);
		assert.deepEqual(made.workload.volumes, [{ kind: "persistent", name: "d", claim: "data" }]);
		const service = { "run.googleapis.com/scalingMode": "manual", "run.googleapis.com/manualInstanceCount": "3" };
		const manual = revision({}, { service, profile: "cloudrun" });
		assert.deepEqual([manual.scaling.minScale, manual.scaling.maxScale], [3, 3]);
	});

	it("refuses root where it is not wanted, and an image without a program", () => {
		const invalid = (error: unknown) => isSlipwayError(error, "INVALID_IMAGE");
		assert.throws(() => revision({ securityContext: { runAsNonRoot: true } }), invalid);
		const user = revision({ securityContext: { runAsNonRoot: true, runAsUser: 5, runAsGroup: 6 } });
		assert.equal(user.workload.containers[0]?.user, "5:6");
		assert.throws(() => revision({}, { of: { ...image, entrypoint: [], cmd: [] } }), invalid);
	});
});
