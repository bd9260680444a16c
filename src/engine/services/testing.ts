/** Services over fakes, on a clock of their own. */
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { silentLog } from "../../base/log.ts";
import type { RunnableImage } from "../../core/function/function.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import type { RevisionObservation } from "../../core/service/rollback.ts";
import type { ServiceRevision } from "../../core/service/service-revision.ts";
import type { ServiceServing } from "./ports.ts";
import { Services } from "./services.ts";

/** Lets everything that waits for nothing but promises run. */
export async function turns(): Promise<void> {
	for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

export const fakeImage: RunnableImage = {
	diffIds: [],
	entrypoint: ["/server"],
	cmd: ["--port"],
	env: { PATH: "/bin", FROM: "image" },
	workingDir: "/app",
	user: "",
	architecture: "x86_64",
	size: 1,
};

export class FakeServing implements ServiceServing {
	readonly revisions = new Map<string, { revision: ServiceRevision; reachable: boolean }>();
	readonly usages = new Map<string, RevisionObservation>();
	checks: string[] = [];
	/** Rejects or waits for what a test wants of a revision; the default is ready at once. */
	onCheck: (revision: ServiceRevision, signal: AbortSignal) => Promise<void> = async () => {};

	addRevision(revision: ServiceRevision): void {
		if (!this.revisions.has(revision.name)) this.revisions.set(revision.name, { revision, reachable: false });
	}

	setReachable({ name }: { name: string }, reachable: boolean): void {
		const entry = this.revisions.get(name);
		if (entry) entry.reachable = reachable;
	}

	updateScaling({ name }: { name: string }, scaling: ServiceRevision["scaling"]): void {
		const entry = this.revisions.get(name);
		if (entry) entry.revision = { ...entry.revision, scaling };
	}

	removeRevision({ name }: { name: string }): void {
		this.revisions.delete(name);
	}

	check(revision: ServiceRevision, signal: AbortSignal): Promise<void> {
		this.checks.push(revision.name);
		return this.onCheck(revision, signal);
	}

	status({ name }: { name: string }) {
		return this.revisions.has(name) ? { actualReplicas: 1, desiredReplicas: 1 } : undefined;
	}

	usage({ name }: { name: string }): RevisionObservation | undefined {
		return this.revisions.has(name) ? (this.usages.get(name) ?? { requests: 0, failures: 0, latency: [] }) : undefined;
	}
}

export interface OpenOptions {
	store?: FakeResourceStore;
	clock?: VirtualClock;
}

export async function openServices(options: OpenOptions & { serving?: FakeServing } = {}) {
	return openServicesOver(options.serving ?? new FakeServing(), options);
}

export async function openServicesOver<Pools extends ServiceServing>(serving: Pools, options: OpenOptions = {}) {
	const { store = new FakeResourceStore(), clock = new VirtualClock() } = options;
	let id = 0;
	const hex = (bytes: number) => (++id).toString(16).padStart(2 * bytes, "0");
	const images = {
		onResolve: (_reference: string): void => {},
		async resolve(reference: string) {
			images.onResolve(reference);
			if (reference.includes("missing"))
				throw new SlipwayError("NOT_FOUND", `No such image: ${reference}`, { reason: "ManifestUnknown" });
			const resolvedImageUri = `${reference.replace(/:[^/]*$/, "")}@sha256:${"a".repeat(64)}`;
			return { resolvedImageUri, manifestDigest: `sha256:${"a".repeat(64)}` as const, image: fakeImage };
		},
		prepare: async () => {},
	};
	const services = await Services.open({
		store,
		images,
		serving,
		architecture: "x86_64",
		urlOf: (namespace, service, tag) =>
			`http://${tag === undefined ? "" : `${tag}---`}${service}${namespace === "default" ? "" : `.${namespace}`}.localhost:4747`,
		clock,
		ids: { uuid: () => `uid-${++id}-${Math.random()}`, hex },
		log: silentLog,
	});
	return { services, store, clock, serving, images };
}

export interface ManifestChange {
	name?: string;
	image?: string;
	annotations?: Record<string, string>;
	templateAnnotations?: Record<string, string>;
	revision?: string;
	spec?: Record<string, unknown>;
	container?: Record<string, unknown>;
	traffic?: unknown[];
}

export function manifest(change: ManifestChange = {}): Record<string, unknown> {
	const { name = "hello", image = "registry.local/hello:1", annotations, templateAnnotations, revision } = change;
	return {
		apiVersion: "serving.knative.dev/v1",
		kind: "Service",
		metadata: { name, ...(annotations ? { annotations } : {}) },
		spec: {
			template: {
				metadata: {
					...(revision ? { name: revision } : {}),
					...(templateAnnotations ? { annotations: templateAnnotations } : {}),
				},
				spec: { containers: [{ image, ...change.container }], ...change.spec },
			},
			...(change.traffic ? { traffic: change.traffic } : {}),
		},
	};
}
