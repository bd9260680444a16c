import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import type { ServiceProfile } from "./service-revision.ts";
import { cloudRun, g } from "./validate-cloud-run.cases.ts";
import { knative, mounted, service } from "./validate-service.cases.ts";
import { type ServiceDraft, validateService } from "./validate-service.ts";

function validated(manifest: unknown, profile?: ServiceProfile): ServiceDraft {
	return validateService(manifest, { namespace: "default", profile });
}

function refusal(manifest: unknown, profile?: ServiceProfile): string {
	try {
		validated(manifest, profile);
	} catch (error) {
		assert.ok(isSlipwayError(error, "INVALID"), String(error));
		assert.equal(error.reason, "Invalid");
		assert.ok(error.message.startsWith("validation failed: "));
		return error.message.slice("validation failed: ".length);
	}
	return "";
}

describe("validateService", () => {
	for (const [profile, cases] of [
		["knative", knative],
		["cloudrun", cloudRun],
	] as const)
		for (const [title, manifest, expected] of cases)
			it(`${profile}: ${title}`, () => {
				const told = refusal(manifest, profile);
				if (expected === "") assert.equal(told, "");
				else assert.ok(told.includes(expected), `told: ${told}`);
			});

	it("tells everything that is wrong at once, sorted as Knative does, alike problems together", () => {
		const told = refusal(
			service({ container: { image: "", lifecycle: {} }, spec: { containerConcurrency: -1, hostPID: true } }),
		);
		assert.equal(told.split("\n").filter((line) => line.includes("spec.template")).length, 4);
	});

	it("writes Knative's defaults", () => {
		const { spec, profile } = validated(service());
		assert.equal(profile, "knative");
		assert.deepEqual(spec, {
			template: {
				metadata: { labels: {}, annotations: {} },
				spec: {
					containers: [
						{ name: "user-container", image: "helloworld", readinessProbe: { tcpSocket: {}, successThreshold: 1 } },
					],
					containerConcurrency: 0,
					timeoutSeconds: 300,
					enableServiceLinks: false,
				},
			},
			traffic: [{ latestRevision: true, percent: 100 }],
		});
	});

	it("writes Cloud Run's defaults when the manifest is Cloud Run's", () => {
		const { spec, profile } = validated(service({ metadata: { annotations: { [g("ingress")]: "all" } } }));
		assert.equal(profile, "cloudrun");
		assert.deepEqual(spec.template.spec, {
			containers: [
				{
					name: "user-container",
					image: "helloworld",
					ports: [{ name: "http1", containerPort: 8080 }],
					resources: { limits: { cpu: "1", memory: "512Mi" } },
					startupProbe: { timeoutSeconds: 240, periodSeconds: 240, failureThreshold: 1, tcpSocket: { port: 8080 } },
				},
			],
			containerConcurrency: 80,
			timeoutSeconds: 300,
		});
		const half = service({ container: { resources: { limits: { cpu: "500m" } } } });
		assert.equal(validated(half, "cloudrun").spec.template.spec.containerConcurrency, 1);
	});

	it("takes what was stored as it is: defaults are written once", () => {
		for (const profile of ["knative", "cloudrun"] as const) {
			const { spec } = validated(service({ container: { ports: [{ name: "h2c", containerPort: 81 }] } }), profile);
			const again = validated({ ...service(), spec }, profile);
			assert.deepEqual(again.spec, spec);
		}
	});

	it("allows claims in a core service, and says what has no effect here", () => {
		const volumes = [{ name: "a", persistentVolumeClaim: { claimName: "data" } }];
		const template = { annotations: { "slipway.dev/core": "true", [g("cloudsql-instances")]: "x" } };
		const { warnings, spec } = validated(service({ container: mounted("a"), spec: { volumes }, template }));
		assert.deepEqual(spec.template.spec.volumes, volumes);
		assert.deepEqual(warnings, ["Annotation run.googleapis.com/cloudsql-instances has no effect here"]);
	});
});

describe("validateService with garbage", () => {
	/** mulberry32 */
	function randomNumbers(seed: number): () => number {
		let state = seed;
		return () => {
			state = (state + 0x6d2b79f5) | 0;
			let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
			mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
			return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
		};
	}

	it("never throws anything else, in bounded time", () => {
		const random = randomNumbers(7);
		const pool: unknown[] = [
			null,
			true,
			-1,
			1e308,
			0.5,
			"",
			"\u0000",
			"a".repeat(300_000),
			[],
			{},
			[[]],
			{ __proto__: 1 },
			JSON.parse('{"__proto__": {"x": 1}, "constructor": 2}'),
			"-".repeat(100_000),
			"1".repeat(5000),
			Array(2000).fill({}),
		];
		const mutate = (value: unknown): unknown => {
			if (random() < 0.06) return pool[Math.floor(random() * pool.length)];
			if (Array.isArray(value)) return value.map(mutate);
			if (typeof value !== "object" || value === null) return value;
			const entries = Object.entries(value as Record<string, unknown>).map(([key, one]): [string, unknown] => [
				random() < 0.03 ? `${key}x` : key,
				mutate(one),
			]);
			return Object.fromEntries(entries);
		};
		const all = [...knative, ...cloudRun].map(([, manifest]) => manifest);
		const began = performance.now();
		for (let i = 0; i < 4000; i++) {
			const manifest = i < pool.length ? pool[i] : mutate(all[i % all.length]);
			const profile = random() < 0.5 ? "knative" : "cloudrun";
			try {
				validated(manifest, profile);
			} catch (error) {
				assert.ok(isSlipwayError(error, "INVALID"), String(error instanceof Error ? error.stack : error));
				assert.ok(error.message.length < 200_000);
			}
		}
		assert.ok(performance.now() - began < 10_000);
	});
});
