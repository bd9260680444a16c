/**
 * What users declare and what the engine makes of it, as documents: services, revisions, jobs, routes, … A document is named by
 * kind, namespace and name, and is JSON. The engine keeps them in memory and reads them whole at the start.
 */
export interface ResourceStore {
	/** All or none of the changes, on the disk before it resolves. A put inserts or replaces; a delete of what is not there is nothing. */
	commit(changes: readonly ResourceChange[]): Promise<void>;
	/** By namespace, then name, in ASCII order. */
	list(kind: string): Promise<StoredResource[]>;
}

export interface ResourceName {
	/** "service", "revision", "job", "execution", "gateway-route", "domain", … */
	kind: string;
	/** "" where the kind has none. */
	namespace: string;
	name: string;
}

export interface StoredResource extends ResourceName {
	document: unknown;
}

export type ResourceChange = ({ change: "put" } & StoredResource) | ({ change: "delete" } & ResourceName);
