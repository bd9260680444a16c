/** Manifests and what is said of them; "": nothing. */
export type Json = Record<string, unknown>;

export function service({ spec, container, template, metadata, traffic, containers, ...rest }: Json = {}): Json {
	return {
		apiVersion: "serving.knative.dev/v1",
		kind: "Service",
		metadata: { name: "valid", ...(metadata as Json) },
		spec: {
			template: {
				...(template ? { metadata: template } : {}),
				spec: { containers: containers ?? [{ image: "helloworld", ...(container as Json) }], ...(spec as Json) },
			},
			...(traffic ? { traffic } : {}),
		},
		...rest,
	};
}

export const c0 = "spec.template.spec.containers[0]";
export const ann = "spec.template.metadata.annotations";
const label63 = "a".repeat(63);
export const mounted = (name: string, more: Json = {}) => ({ volumeMounts: [{ name, mountPath: "/data", ...more }] });

export const limits = (cpu: string, memory: string) => ({ resources: { limits: { cpu, memory } } });

/** From Knative's own tests (pkg/apis/serving/{k8s_validation,metadata_validation}_test.go and v1/*_validation_test.go at v0.51) where it has them. */
export const knative: [string, Json, string][] = [
	["nothing else", service(), ""],
	["any CPU with any memory", service({ container: limits("3", "100Gi") }), ""],
	["no name", service({ metadata: { name: "" } }), "name or generateName is required: metadata.name"],
	[
		"a name with capitals",
		service({ metadata: { name: "Not" } }),
		"invalid value: not a DNS 1035 label: [a DNS-1035 label must consist",
	],
	[
		"a name of 64",
		service({ metadata: { name: `${label63}a` } }),
		"must be no more than 63 characters]: metadata.name",
	],
	["another kind", { ...service(), kind: "Route" }, "invalid value: Route: kind"],
	["another version", { ...service(), apiVersion: "v1" }, "invalid value: v1: apiVersion"],
	["another namespace", service({ metadata: { namespace: "other" } }), "invalid value: other: metadata.namespace"],
	[
		"containerConcurrency -10",
		service({ spec: { containerConcurrency: -10 } }),
		"expected 0 <= -10 <= 1000: spec.template.spec.containerConcurrency",
	],
	[
		"containerConcurrency 1001",
		service({ spec: { containerConcurrency: 1001 } }),
		"expected 0 <= 1001 <= 1000: spec.template.spec.containerConcurrency",
	],
	[
		"containerConcurrency as text",
		service({ spec: { containerConcurrency: "5" } }),
		"invalid value: 5: spec.template.spec.containerConcurrency\nmust be an integer",
	],
	[
		"timeoutSeconds 601",
		service({ spec: { timeoutSeconds: 601 } }),
		"expected 0 <= 601 <= 600: spec.template.spec.timeoutSeconds",
	],
	[
		"timeoutSeconds -1",
		service({ spec: { timeoutSeconds: -1 } }),
		"expected 0 <= -1 <= 600: spec.template.spec.timeoutSeconds",
	],
	["no containers", service({ containers: [] }), "missing field(s): spec.template.spec.containers"],
	["an empty container", service({ containers: [{}] }), `missing field(s): ${c0}, ${c0}.image`],
	["no image", service({ container: { image: "" } }), `missing field(s): ${c0}.image`],
	["a bad image", service({ container: { image: "foo:bar:baz" } }), `Failed to parse image reference: ${c0}.image`],
	["a lifecycle", service({ container: { lifecycle: {} } }), `must not set the field(s): ${c0}.lifecycle\n`],
	["stdin and tty", service({ container: { stdin: true, tty: true } }), `must not set the field(s): ${c0}.tty`],
	["a field that nobody knows", service({ container: { imagee: "x" } }), `must not set the field(s): ${c0}.imagee`],
	[
		"init containers",
		service({ spec: { initContainers: [{}] } }),
		"must not set the field(s): spec.template.spec.initContainers\nInit containers are not supported",
	],
	[
		"a node selector",
		service({ spec: { nodeSelector: { a: "b" } } }),
		"must not set the field(s): spec.template.spec.nodeSelector",
	],
	[
		"a reserved name",
		service({ container: { name: "queue-proxy" } }),
		`"queue-proxy" is a reserved container name: ${c0}.name`,
	],
	[
		"a reserved variable",
		service({ container: { env: [{ name: "PORT", value: "Foo" }] } }),
		`"PORT" is a reserved environment variable: ${c0}.env[0].name`,
	],
	["a nameless variable", service({ container: { env: [{ value: "Foo" }] } }), `missing field(s): ${c0}.env[0].name`],
	[
		"a secret in a variable",
		service({ container: { env: [{ name: "A", valueFrom: { secretKeyRef: { name: "s", key: "k" } } }] } }),
		`must not set the field(s): ${c0}.env[0].valueFrom.secretKeyRef\nSecrets are not supported: set the value`,
	],
	[
		"envFrom",
		service({ container: { envFrom: [{ configMapRef: { name: "x" } }] } }),
		`must not set the field(s): ${c0}.envFrom`,
	],
	[
		"two ports",
		service({ container: { ports: [{ containerPort: 1 }, { containerPort: 2 }] } }),
		"more than one container port is set: spec.template.spec.containers[*].ports",
	],
	[
		"a port of 65536",
		service({ container: { ports: [{ containerPort: 65_536 }] } }),
		`expected 0 <= 65536 <= 65535: ${c0}.ports[0].containerPort`,
	],
	[
		"a port's name",
		service({ container: { ports: [{ name: "foobar", containerPort: 8080 }] } }),
		`Port name foobar is not allowed: ${c0}.ports[0]\nName must be empty, or one of: 'h2c', 'http1'`,
	],
	[
		"a host port",
		service({ container: { ports: [{ containerPort: 8080, hostPort: 80 }] } }),
		`must not set the field(s): ${c0}.ports[0].hostPort`,
	],
	[
		"UDP",
		service({ container: { ports: [{ containerPort: 8080, protocol: "UDP" }] } }),
		`invalid value: UDP: ${c0}.ports[0].protocol`,
	],
	[
		"a quantity",
		service({ container: { resources: { limits: { memory: "1Gig" } } } }),
		`invalid value: 1Gig: ${c0}.resources.limits.memory`,
	],
	[
		"a request above its limit",
		service({ container: { resources: { limits: { cpu: "1" }, requests: { cpu: "1500m" } } } }),
		`invalid value: 1500m: ${c0}.resources.requests.cpu`,
	],
	[
		"a GPU",
		service({ container: { resources: { limits: { "nvidia.com/gpu": "1" } } } }),
		`must not set the field(s): ${c0}.resources.limits.nvidia.com/gpu`,
	],
	[
		"privileged",
		service({ container: { securityContext: { privileged: true } } }),
		`must not set the field(s): ${c0}.securityContext.privileged`,
	],
	[
		"an address as service account",
		service({ spec: { serviceAccountName: "foo@bar.baz" } }),
		"invalid value: foo@bar.baz: spec.template.spec.serviceAccountName\na lowercase RFC 1123 subdomain must consist of",
	],
	[
		"a user of -10",
		service({ container: { securityContext: { runAsUser: -10 } } }),
		`expected 0 <= -10 <= 2147483647: ${c0}.securityContext.runAsUser`,
	],
	[
		"a policy",
		service({ container: { terminationMessagePolicy: "Never" } }),
		`invalid value: Never: ${c0}.terminationMessagePolicy`,
	],
	[
		"a mount without volume",
		service({ container: mounted("a") }),
		`volumeMount has no matching volume: ${c0}.volumeMounts[0].name`,
	],
	[
		"a volume without mount",
		service({ spec: { volumes: [{ name: "a", emptyDir: {} }] } }),
		'volume with name "a" not mounted: spec.template.spec.volumes[0].name',
	],
	[
		"a reserved path",
		service({ container: mounted("a", { mountPath: "/dev/" }), spec: { volumes: [{ name: "a", emptyDir: {} }] } }),
		`mountPath "/dev" is a reserved path: ${c0}.volumeMounts[0].mountPath`,
	],
	[
		"a volume of nothing",
		service({ container: mounted("a"), spec: { volumes: [{ name: "a" }] } }),
		"expected exactly one, got neither: spec.template.spec.volumes[0].emptyDir",
	],
	[
		"a secret volume",
		service({ container: mounted("a"), spec: { volumes: [{ name: "a", secret: { secretName: "s" } }] } }),
		"must not set the field(s): spec.template.spec.volumes[0].secret",
	],
	[
		"a claim outside of a core service",
		service({ container: mounted("a"), spec: { volumes: [{ name: "a", persistentVolumeClaim: { claimName: "c" } }] } }),
		"must not set the field(s): spec.template.spec.volumes[0].persistentVolumeClaim",
	],
	[
		"a size",
		service({ container: mounted("a"), spec: { volumes: [{ name: "a", emptyDir: { sizeLimit: "-1" } }] } }),
		"invalid value: -1: spec.template.spec.volumes[0].emptyDir.sizeLimit",
	],
	[
		"sidecars without a port",
		service({ containers: [{ image: "a" }, { image: "b" }] }),
		"missing field(s): spec.template.spec.containers[*].ports",
	],
	[
		"two of a name",
		service({
			containers: [
				{ image: "a", name: "x", ports: [{}] },
				{ image: "b", name: "x" },
			],
		}),
		'duplicate container name "x": spec.template.spec.containers[1].name',
	],
	[
		"a probe of nothing",
		service({ container: { livenessProbe: { periodSeconds: 1 } } }),
		`expected exactly one, got neither: ${c0}.livenessProbe.grpc, ${c0}.livenessProbe.httpGet, ${c0}.livenessProbe.tcpSocket`,
	],
	[
		"a probe of two",
		service({ container: { livenessProbe: { httpGet: {}, tcpSocket: {} } } }),
		`expected exactly one, got both: ${c0}.livenessProbe.httpGet, ${c0}.livenessProbe.tcpSocket`,
	],
	["an exec probe", service({ container: { readinessProbe: { exec: { command: ["x"] } } } }), ""],
	[
		"an exec probe without a program",
		service({ container: { livenessProbe: { exec: { command: [] } } } }),
		`missing field(s): ${c0}.livenessProbe.exec.command`,
	],
	[
		"failureThreshold without period",
		service({ container: { readinessProbe: { tcpSocket: {}, failureThreshold: 3 } } }),
		`failureThreshold is disallowed when periodSeconds is zero: ${c0}.readinessProbe.failureThreshold`,
	],
	[
		"a period of -1",
		service({ container: { readinessProbe: { tcpSocket: {}, periodSeconds: -1 } } }),
		`expected 0 <= -1 <= 2147483647: ${c0}.readinessProbe.periodSeconds`,
	],
	[
		"a probe's port",
		service({ container: { readinessProbe: { httpGet: { port: "imap" } } } }),
		`invalid value: imap: ${c0}.readinessProbe.httpGet.port\nProbe port must match container port`,
	],
	[
		"a sidecar's probe without port",
		service({
			containers: [
				{ image: "a", ports: [{}] },
				{ image: "b", livenessProbe: { tcpSocket: {} } },
			],
		}),
		"invalid value: 0: spec.template.spec.containers[1].livenessProbe.tcpSocket.port\nProbe port must be specified",
	],
	[
		"a revision's name",
		service({ template: { name: "other-00001" } }),
		'invalid value: "other-00001" must have prefix "valid-": spec.template.metadata.name',
	],
	[
		"traffic that does not add up",
		service({ traffic: [{ latestRevision: true, percent: 99 }] }),
		"Traffic targets sum to 99, want 100: spec.traffic",
	],
	[
		"a percent of 101",
		service({ traffic: [{ latestRevision: true, percent: 101 }] }),
		"expected 0 <= 101 <= 100: spec.traffic[0].percent",
	],
	[
		"both kinds of target",
		service({ traffic: [{ revisionName: "valid", latestRevision: true, percent: 100 }] }),
		'may not set revisionName "valid" when latestRevision is true: spec.traffic[0].latestRevision',
	],
	[
		"neither kind of target",
		service({ traffic: [{ latestRevision: false, percent: 100 }] }),
		'may not set revisionName "" when latestRevision is false: spec.traffic[0].latestRevision',
	],
	[
		"a configuration's name",
		service({ traffic: [{ configurationName: "valid", percent: 100 }] }),
		"must not set the field(s): spec.traffic[0].configurationName",
	],
	[
		"a URL",
		service({ traffic: [{ percent: 100, url: "http://x" }] }),
		"must not set the field(s): spec.traffic[0].url",
	],
	[
		"a tag twice",
		service({
			traffic: [
				{ percent: 50, tag: "a" },
				{ percent: 50, tag: "a" },
			],
		}),
		'Multiple definitions for "a": spec.traffic[0].tag, spec.traffic[1].tag',
	],
	["a tag", service({ traffic: [{ percent: 100, tag: "A_" }] }), "invalid value: not a DNS 1035 label:"],
	[
		"an autoscaling annotation in the wrong place",
		service({ metadata: { annotations: { "autoscaling.knative.dev/foo": "bar" } } }),
		'invalid key name "autoscaling.knative.dev/foo": metadata.annotations\nautoscaling annotations must be put under',
	],
	[
		"an autoscaling annotation",
		service({ template: { annotations: { "autoscaling.knative.dev/min-scale": "-1" } } }),
		`${ann}.autoscaling.knative.dev/min-scale`,
	],
	[
		"a rollout duration",
		service({ metadata: { annotations: { "serving.knative.dev/rollout-duration": "CLXXXIIIs" } } }),
		"invalid value: CLXXXIIIs: metadata.annotations.serving.knative.dev/rollout-duration",
	],
	[
		"a rollout duration of 1.5s",
		service({ metadata: { annotations: { "serving.knative.dev/rolloutDuration": "1500ms" } } }),
		"rollout-duration=1500ms is not at second precision",
	],
	[
		"a progress deadline",
		service({ template: { annotations: { "serving.knative.dev/progress-deadline": "-1s" } } }),
		"progress-deadline=-1s must be positive",
	],
	[
		"an error rate",
		service({ metadata: { annotations: { "slipway.dev/rollback-on-error-rate": "5" } } }),
		"invalid value: 5: metadata.annotations.slipway.dev/rollback-on-error-rate",
	],
	["a label's value", service({ metadata: { labels: { a: "b c" } } }), "invalid value: b c: metadata.labels.a"],
	["an annotation's key", service({ template: { annotations: { "/a": "b" } } }), `invalid key name "/a": ${ann}`],
	[
		"an unknown annotation of Knative's",
		service({ metadata: { annotations: { "serving.knative.dev/foo": "bar" } } }),
		"",
	],
	[
		"what kn and kubectl write",
		service({
			metadata: { creationTimestamp: null, managedFields: [], uid: "" },
			template: { creationTimestamp: null },
			container: {
				resources: {},
				name: "",
				securityContext: {
					allowPrivilegeEscalation: false,
					capabilities: { drop: ["ALL"] },
					seccompProfile: { type: "RuntimeDefault" },
				},
			},
			spec: { enableServiceLinks: false, imagePullSecrets: [{ name: "x" }] },
			status: {},
		}),
		"",
	],
];
