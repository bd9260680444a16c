import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceView } from "../client/service-schema.ts";
import { validateService } from "../core/service/validate-service.ts";
import { nameOfImage, serviceManifest } from "./service-manifest.ts";

test("A service is called as its image is", () => {
	const names: [string, string][] = [
		["127.0.0.1:4747/team/hello:1", "hello"],
		["hello", "hello"],
		["localhost:5000/Web_App@sha256:abc", "web-app"],
		["r.example.com/9lives:2", "lives"],
	];
	for (const [image, name] of names) assert.equal(nameOfImage(image), name, image);
	assert.throws(() => nameOfImage("127.0.0.1:1/42:1"), { reason: "Usage" });
});

test("Options become the manifest's fields and annotations", () => {
	const manifest = serviceManifest(
		"h",
		"default",
		"r/h:1",
		{
			port: "3000",
			h2c: true,
			env: ["A=b", "C=d=e"],
			concurrency: "10",
			"min-instances": "1",
			"max-instances": "5",
			cpu: "500m",
			memory: "1Gi",
			timeout: "2m",
			command: ["/app"],
			args: ["-v"],
			tag: "green",
			"rollout-duration": "10m",
			"rollback-on-error-rate": "5%",
			"cpu-always": true,
			ingress: "internal",
		},
		undefined,
	);
	assert.deepEqual(manifest, {
		apiVersion: "serving.knative.dev/v1",
		kind: "Service",
		metadata: {
			name: "h",
			namespace: "default",
			annotations: {
				"run.googleapis.com/ingress": "internal",
				"slipway.dev/rollout-duration": "10m",
				"slipway.dev/rollback-on-error-rate": "5%",
			},
		},
		spec: {
			template: {
				metadata: {
					annotations: {
						"autoscaling.knative.dev/minScale": "1",
						"autoscaling.knative.dev/maxScale": "5",
						"run.googleapis.com/cpu-throttling": "false",
					},
				},
				spec: {
					containerConcurrency: 10,
					timeoutSeconds: 120,
					containers: [
						{
							image: "r/h:1",
							env: [
								{ name: "A", value: "b" },
								{ name: "C", value: "d=e" },
							],
							command: ["/app"],
							args: ["-v"],
							ports: [{ containerPort: 3000, name: "h2c" }],
							resources: { limits: { cpu: "500m", memory: "1Gi" } },
						},
					],
				},
			},
			traffic: [
				{ latestRevision: true, percent: 100 },
				{ latestRevision: true, percent: 0, tag: "green" },
			],
		},
	});
});

test("A service that is there keeps what no option changes", () => {
	const current = {
		kind: "Service",
		metadata: { name: "h", namespace: "default", labels: { team: "a" }, annotations: { "example.com/x": "y" } },
		spec: {
			template: {
				metadata: { name: "h-old", labels: {}, annotations: { "autoscaling.knative.dev/minScale": "2" } },
				spec: {
					timeoutSeconds: 60,
					containers: [
						{ name: "app", image: "r/h:1", env: [{ name: "A", value: "b" }], ports: [{ containerPort: 3000 }] },
						{ name: "proxy", image: "r/p:1" },
					],
				},
			},
			traffic: [{ latestRevision: true, percent: 100 }],
		},
		status: {
			observedGeneration: 1,
			conditions: [],
			latestReadyRevisionName: "h-00002",
			// As after an automatic rollback: the newest gets nothing.
			traffic: [{ latestRevision: true, revisionName: "h-00001", percent: 100 }],
		},
	} as unknown as ServiceView;
	const { metadata, spec } = serviceManifest(
		"h",
		"default",
		"r/h:2",
		{ env: ["A=c", "B=d", "C=e"], "remove-env": ["C"], "no-traffic": true },
		current,
		new Date(0),
	) as {
		metadata: { labels: object; annotations: object };
		spec: { template: { metadata: object; spec: object }; traffic: object[] };
	};
	assert.deepEqual([metadata.labels, metadata.annotations], [{ team: "a" }, { "example.com/x": "y" }]);
	// Another revision has another name, and is one even when nothing but the image behind its tag has changed.
	assert.deepEqual(spec.template.metadata, {
		labels: {},
		annotations: {
			"autoscaling.knative.dev/minScale": "2",
			"client.knative.dev/updateTimestamp": "1970-01-01T00:00:00.000Z",
		},
	});
	assert.deepEqual(spec.template.spec, {
		timeoutSeconds: 60,
		containers: [
			{
				name: "app",
				image: "r/h:2",
				env: [
					{ name: "A", value: "c" },
					{ name: "B", value: "d" },
				],
				ports: [{ containerPort: 3000 }],
			},
			{ name: "proxy", image: "r/p:1" },
		],
	});
	assert.deepEqual(spec.traffic, [{ latestRevision: false, percent: 100, revisionName: "h-00001" }]);
	assert.throws(() => serviceManifest("h", "default", "r/h:2", { "no-traffic": true }, undefined), { reason: "Usage" });
	assert.throws(() => serviceManifest("h", "default", "r/h:2", { port: "http" }, undefined), /--port is 'http'/);
});

test("A core service: its volumes are kept and mounted, and the manifest is one that the engine takes", () => {
	const made = serviceManifest(
		"db",
		"default",
		"r/db:1",
		{ volume: ["data:/var/lib/db", "conf:/etc/db:ro"] },
		undefined,
	);
	const { spec, profile } = validateService(made, { namespace: "default", profile: "cloudrun" });
	assert.equal(profile, "cloudrun");
	assert.deepEqual(spec.template.metadata.annotations, { "slipway.dev/core": "true" });
	assert.deepEqual(spec.template.spec.volumes, [
		{ name: "data", persistentVolumeClaim: { claimName: "data" } },
		{ name: "conf", persistentVolumeClaim: { claimName: "conf" } },
	]);
	const current = { metadata: { annotations: {} }, spec, status: {} } as unknown as ServiceView;
	const again = serviceManifest("db", "default", "r/db:2", { volume: ["more:/etc/db", "data:/data"] }, current);
	const { template } = validateService(again, { namespace: "default", profile: "cloudrun" }).spec;
	assert.deepEqual(
		template.spec.containers[0]?.volumeMounts?.map(({ name, mountPath }) => [name, mountPath]),
		[
			["data", "/var/lib/db"],
			["more", "/etc/db"],
			["data", "/data"],
		],
	);
	assert.deepEqual(
		template.spec.volumes?.map(({ name }) => name),
		["data", "more"],
	);
	for (const volume of ["data", "data:var", ":/var", "data:/var:rw"])
		assert.throws(() => serviceManifest("db", "default", "r/db:1", { volume: [volume] }, undefined), /--volume is '/);
});
