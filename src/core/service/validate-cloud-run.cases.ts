import { ann, c0, type Json, limits, service } from "./validate-service.cases.ts";

export const g = (name: string) => `run.googleapis.com/${name}`;
/** As validate-service.cases.ts, of manifests with the cloudrun profile. */
export const cloudRun: [string, Json, string][] = [
	["timeoutSeconds 3600", service({ spec: { timeoutSeconds: 3600 } }), ""],
	[
		"timeoutSeconds 3601",
		service({ spec: { timeoutSeconds: 3601 } }),
		"expected 0 <= 3601 <= 3600: spec.template.spec.timeoutSeconds",
	],
	[
		"half a CPU with concurrency",
		service({ container: { resources: { limits: { cpu: "0.5" } } }, spec: { containerConcurrency: 2 } }),
		"invalid value: 2: spec.template.spec.containerConcurrency\nmust be 1 with less than one whole CPU",
	],
	[
		"a startup of five minutes",
		service({ container: { startupProbe: { httpGet: {}, periodSeconds: 60, failureThreshold: 5 } } }),
		`${c0}.startupProbe.failureThreshold`,
	],
	[
		"a liveness probe of TCP",
		service({ container: { livenessProbe: { tcpSocket: {} } } }),
		`must not set the field(s): ${c0}.livenessProbe.tcpSocket`,
	],
	[
		"a timeout longer than its period",
		service({ container: { startupProbe: { httpGet: {}, timeoutSeconds: 5, periodSeconds: 2 } } }),
		`expected 1 <= 5 <= 2: ${c0}.startupProbe.timeoutSeconds`,
	],
	[
		"a reserved variable",
		service({ container: { env: [{ name: "CLOUD_RUN_JOB", value: "x" }] } }),
		`"CLOUD_RUN_JOB" is a reserved environment variable`,
	],
	[
		"an ingress",
		service({ metadata: { annotations: { [g("ingress")]: "some" } } }),
		"invalid value: some: metadata.annotations.run.googleapis.com/ingress\nmust be one of",
	],
	[
		"manual scaling without a count",
		service({ metadata: { annotations: { [g("scalingMode")]: "manual" } } }),
		"missing field(s): metadata.annotations.run.googleapis.com/manualInstanceCount",
	],
	[
		"throttling",
		service({ template: { annotations: { [g("cpu-throttling")]: "yes" } } }),
		`invalid value: yes: ${ann}.run.googleapis.com/cpu-throttling`,
	],
	[
		"dependencies that are not JSON",
		service({ template: { annotations: { [g("container-dependencies")]: "{" } } }),
		"must be JSON such as",
	],
	[
		"dependencies in a ring",
		service({
			containers: [
				{ image: "a", name: "a", ports: [{}] },
				{ image: "b", name: "b" },
			],
			template: { annotations: { [g("container-dependencies")]: '{"a":["b"],"b":["a"]}' } },
		}),
		"must not depend on each other",
	],
	[
		"a dependency on nobody",
		service({ template: { annotations: { [g("container-dependencies")]: '{"user-container":["b"]}' } } }),
		"invalid value: b:",
	],
	[
		"an exec probe",
		service({ container: { livenessProbe: { exec: { command: ["x"] } } } }),
		`must not set the field(s): ${c0}.livenessProbe.exec`,
	],
	["a user account's address", service({ spec: { serviceAccountName: "sa@proj.iam.gserviceaccount.com" } }), ""],
	[
		"more memory than goes with its CPU",
		service({ container: limits("1", "5Gi") }),
		`invalid value: 5Gi: ${c0}.resources.limits.memory\nmust be at most 4Gi with 1 CPU`,
	],
	["all memory that goes with its CPU", service({ container: limits("1000m", "4Gi") }), ""],
	[
		"too little memory for its CPU",
		service({ container: limits("6", "2Gi") }),
		`invalid value: 2Gi: ${c0}.resources.limits.memory\nmust be from 4Gi to 24Gi with 6 CPU`,
	],
	[
		"the default memory, with four CPUs",
		service({ container: { resources: { limits: { cpu: "4" } } } }),
		`invalid value: 512Mi: ${c0}.resources.limits.memory\nmust be from 2Gi to 16Gi with 4 CPU`,
	],
	["the least memory that goes with eight CPUs", service({ container: limits("8", "4Gi") }), ""],
	[
		"three CPUs",
		service({ container: limits("3", "4Gi") }),
		`invalid value: 3: ${c0}.resources.limits.cpu\nmust be from 0.08 to 0.999, or one of 1, 2, 4, 6, 8`,
	],
	[
		"nearly no CPU",
		service({ container: limits("79m", "128Mi") }),
		`invalid value: 79m: ${c0}.resources.limits.cpu\nmust be from 0.08 to 0.999`,
	],
	["little CPU", service({ container: limits("80m", "512Mi") }), ""],
	[
		"little CPU and much memory",
		service({ container: limits("499m", "513Mi") }),
		`invalid value: 513Mi: ${c0}.resources.limits.memory\nmust be at most 512Mi with 0.499 CPU`,
	],
	["half a CPU and 1 GiB", service({ container: limits("0.5", "1Gi") }), ""],
	[
		"half a CPU that is always there",
		service({
			container: limits("0.5", "1Gi"),
			template: { annotations: { [g("cpu-throttling")]: "false", [g("execution-environment")]: "gen2" } },
		}),
		`invalid value: false: ${ann}.run.googleapis.com/cpu-throttling\nmust be "true" with less than one CPU`,
	],
	[
		"containers that are too much together",
		service({
			containers: [
				{ image: "a", ports: [{ containerPort: 80 }], ...limits("1", "4Gi") },
				{ image: "b", ...limits("0.5", "5Gi") },
			],
		}),
		`invalid value: 4Gi + 5Gi: ${c0}.resources.limits.memory, spec.template.spec.containers[1].resources.limits.memory\nmust be at most 8Gi with 1.5 CPU in all containers together`,
	],
	[
		"containers with a CPU together, at the concurrency of one",
		service({
			containers: [
				{ image: "a", ports: [{ containerPort: 80 }] },
				{ image: "b", ...limits("0.5", "256Mi") },
			],
			spec: { containerConcurrency: 80 },
		}),
		"",
	],
	[
		"more CPUs than an instance has",
		service({
			containers: [
				{ image: "a", ports: [{ containerPort: 80 }], ...limits("8", "4Gi") },
				{ image: "b", ...limits("1", "1Gi") },
			],
		}),
		`expected 9 <= 8: ${c0}.resources.limits.cpu`,
	],
];
