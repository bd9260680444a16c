import { isDeepStrictEqual } from "node:util";
import { SlipwayError } from "../../base/error.ts";
import type { ResourceChange, ResourceStore } from "../../core/resource/resource-store.ts";
import type { AnyKnativeObject } from "../../core/service/knative.ts";
import { keyOf, type RevisionRecord, type ServiceRecord } from "./records.ts";
import type { WatchEvent } from "./types.ts";
import { configurationView, routeView, serviceView } from "./views.ts";
import { WatchHub } from "./watch-hub.ts";

/** What one change puts and removes, all or none. */
export interface Batch {
	services?: readonly ServiceRecord[];
	revisions?: readonly RevisionRecord[];
	removedServices?: readonly ServiceRecord[];
	removedRevisions?: readonly RevisionRecord[];
}

/** Changes waiting for the one before them: past it a client is told to come back. */
const maxWaiting = 5000;
const versionName = { kind: "service-version", namespace: "", name: "resource-version" };

/**
 * Services and their revisions: in memory for reads, in the store before any change is seen or answered. Changes happen one after the
 * other, so that the versions of all objects are one row of numbers that never goes back, over restarts too.
 */
export class ServiceRecords {
	readonly hub: WatchHub;
	readonly #store: ResourceStore;
	readonly #services = new Map<string, ServiceRecord>();
	readonly #revisions = new Map<string, RevisionRecord>();
	/** Of each service, by name. */
	readonly #owned = new Map<string, Map<string, RevisionRecord>>();
	#version: number;
	#tail: Promise<unknown> = Promise.resolve();
	#waiting = 0;

	private constructor(store: ResourceStore, version: number) {
		this.#store = store;
		this.#version = version;
		this.hub = new WatchHub(version);
	}

	static async open(store: ResourceStore): Promise<ServiceRecords> {
		const [version] = await store.list(versionName.kind);
		const records = new ServiceRecords(store, typeof version?.document === "number" ? version.document : 1);
		for (const { document } of await store.list("service")) records.#put(document as ServiceRecord);
		for (const { document } of await store.list("revision")) records.#putRevision(document as RevisionRecord);
		return records;
	}

	get version(): number {
		return this.#version;
	}

	find(namespace: string, name: string): ServiceRecord | undefined {
		return this.#services.get(keyOf(namespace, name));
	}

	/** NOT_FOUND, in Kubernetes' words for `plural`. */
	get(namespace: string, name: string, plural = "services"): ServiceRecord {
		const record = this.find(namespace, name);
		if (!record) throw notFound(plural, name);
		return record;
	}

	findRevision(namespace: string, name: string): RevisionRecord | undefined {
		return this.#revisions.get(keyOf(namespace, name));
	}

	get revisionCount(): number {
		return this.#revisions.size;
	}

	get serviceCount(): number {
		return this.#services.size;
	}

	/** By namespace, then name. */
	all(namespace?: string): ServiceRecord[] {
		return sorted(this.#services, namespace);
	}

	allRevisions(namespace?: string): RevisionRecord[] {
		return sorted(this.#revisions, namespace);
	}

	revisionsOf(namespace: string, service: string): RevisionRecord[] {
		return [...(this.#owned.get(keyOf(namespace, service))?.values() ?? [])];
	}

	/** `decide` must not wait: nothing else changes in between. Undefined leaves everything as it is. */
	change<T>(decide: () => { batch: Batch | undefined; result: T }, applied: (result: T) => void): Promise<T> {
		if (this.#waiting >= maxWaiting)
			return Promise.reject(
				new SlipwayError("THROTTLED", `${maxWaiting} changes of services are waiting already`, { retryAfterMs: 1000 }),
			);
		this.#waiting++;
		const run = this.#tail.then(async () => {
			this.#waiting--;
			const { batch, result } = decide();
			const events = batch ? await this.#write(batch) : [];
			try {
				applied(result);
			} finally {
				// It is on the disk: whoever watches has to hear of it, whatever came of it here.
				for (const event of events) this.hub.publish(event);
			}
			return result;
		});
		this.#tail = run.catch(() => {});
		return run;
	}

	async #write(batch: Batch): Promise<WatchEvent[]> {
		let version = this.#version;
		const next = () => String(++version);
		const events: WatchEvent[] = [];
		const changes: ResourceChange[] = [];
		for (const revision of batch.revisions ?? []) {
			const { metadata } = revision.object;
			const isNew = !this.#revisions.has(keyOf(metadata.namespace, metadata.name));
			metadata.resourceVersion = next();
			events.push({ type: isNew ? "ADDED" : "MODIFIED", object: revision.object });
			changes.push({ change: "put", ...nameOf("revision", metadata), document: revision });
		}
		for (const service of batch.services ?? []) {
			const before = this.find(service.metadata.namespace, service.metadata.name);
			const changed = numbered(before, service, next);
			if (changed.length === 0 && isDeepStrictEqual(before, service)) continue;
			events.push(...changed);
			changes.push({ change: "put", ...nameOf("service", service.metadata), document: service });
		}
		for (const { object } of batch.removedRevisions ?? []) {
			events.push(deleted(object, next()));
			changes.push({ change: "delete", ...nameOf("revision", object.metadata) });
		}
		for (const service of batch.removedServices ?? []) {
			for (const view of views(service)) events.push(deleted(view, next()));
			changes.push({ change: "delete", ...nameOf("service", service.metadata) });
		}
		if (changes.length === 0) return [];
		if (version > this.#version) changes.push({ change: "put", ...versionName, document: version });
		await this.#store.commit(changes);
		this.#version = version;
		this.#apply(batch);
		return events;
	}

	#apply(batch: Batch): void {
		for (const service of batch.services ?? []) this.#put(service);
		for (const revision of batch.revisions ?? []) this.#putRevision(revision);
		for (const { object, service } of batch.removedRevisions ?? []) {
			const { namespace, name } = object.metadata;
			this.#revisions.delete(keyOf(namespace, name));
			this.#owned.get(keyOf(namespace, service))?.delete(name);
		}
		for (const { metadata } of batch.removedServices ?? []) {
			this.#services.delete(keyOf(metadata.namespace, metadata.name));
			this.#owned.delete(keyOf(metadata.namespace, metadata.name));
		}
	}

	#put(service: ServiceRecord): void {
		this.#services.set(keyOf(service.metadata.namespace, service.metadata.name), service);
	}

	#putRevision(revision: RevisionRecord): void {
		const { namespace, name } = revision.object.metadata;
		this.#revisions.set(keyOf(namespace, name), revision);
		const owner = keyOf(namespace, revision.service);
		const owned = this.#owned.get(owner) ?? new Map<string, RevisionRecord>();
		this.#owned.set(owner, owned.set(name, revision));
	}
}

export function notFound(plural: string, name: string): SlipwayError {
	return new SlipwayError("NOT_FOUND", `${plural}.serving.knative.dev "${name.slice(0, 253)}" not found`, {
		reason: "NotFound",
		...(commands[plural] !== undefined && { hint: `\`${commands[plural]}\` lists them` }),
	});
}

/** What lists them; the other kinds are seen through their service. */
const commands: Readonly<Record<string, string>> = { services: "slipway service ls", revisions: "slipway revision ls" };

function views(record: ServiceRecord): AnyKnativeObject[] {
	return [configurationView(record), routeView(record), serviceView(record)];
}

function nameOf(kind: string, { namespace, name }: { namespace: string; name: string }) {
	return { kind, namespace, name };
}

function deleted(object: AnyKnativeObject, resourceVersion: string): WatchEvent {
	return {
		type: "DELETED",
		object: { ...object, metadata: { ...object.metadata, resourceVersion } } as AnyKnativeObject,
	};
}

/** Gives each of the three objects that has changed its new version; returns what watchers are told. */
function numbered(before: ServiceRecord | undefined, after: ServiceRecord, next: () => string): WatchEvent[] {
	const old = before && views(before);
	const current = views(after);
	const changed = current.map((view, index) => !isDeepStrictEqual(view, old?.[index]));
	if (changed[0]) after.configuration.resourceVersion = next();
	if (changed[1]) after.route.resourceVersion = next();
	if (changed[2]) after.metadata.resourceVersion = next();
	const type = before ? "MODIFIED" : "ADDED";
	return views(after).flatMap((object, index) => (changed[index] ? [{ type, object } as const] : []));
}

function sorted<T extends object>(all: ReadonlyMap<string, T>, namespace: string | undefined): T[] {
	const entries = [...all].filter(([key]) => namespace === undefined || key.startsWith(`${namespace}/`));
	return entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}
