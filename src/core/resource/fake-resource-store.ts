import type { ResourceChange, ResourceStore, StoredResource } from "./resource-store.ts";

/** A ResourceStore in memory, for tests. Documents are kept as JSON, as a real one does. */
export class FakeResourceStore implements ResourceStore {
	readonly #documents = new Map<string, { name: string; namespace: string; kind: string; json: string }>();
	/** Commits that have happened. */
	commits = 0;
	/** Called before a commit takes effect (`before`) and after it has (`after`); throwing makes it fail for the caller. */
	onCommit: ((when: "before" | "after", number: number) => void | Promise<void>) | undefined;

	async commit(changes: readonly ResourceChange[]): Promise<void> {
		const number = ++this.commits;
		const prepared = changes.map((change) => ({
			change,
			json: change.change === "put" ? JSON.stringify(change.document) : "",
		}));
		await this.onCommit?.("before", number);
		for (const { change, json } of prepared) {
			const { kind, namespace, name } = change;
			const key = JSON.stringify([kind, namespace, name]);
			if (change.change === "put") this.#documents.set(key, { kind, namespace, name, json });
			else this.#documents.delete(key);
		}
		await this.onCommit?.("after", number);
	}

	async list(kind: string): Promise<StoredResource[]> {
		return [...this.#documents.values()]
			.filter((one) => one.kind === kind)
			.sort((a, b) => compare(a.namespace, b.namespace) || compare(a.name, b.name))
			.map(({ json, ...rest }) => ({ ...rest, document: JSON.parse(json) as unknown }));
	}
}

function compare(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}
