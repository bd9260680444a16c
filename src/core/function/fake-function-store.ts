import type { FunctionRecord, FunctionVersion } from "./function.ts";
import { type DeletedNumber, type FunctionStore, maxDeletedNumbers } from "./function-store.ts";

/** A FunctionStore in memory, for tests. */
export class FakeFunctionStore implements FunctionStore {
	readonly #records = new Map<string, FunctionRecord>();
	readonly #deleted = new Map<string, number>();
	readonly #versions = new Map<string, Map<string, FunctionVersion>>();

	async put(record: FunctionRecord, version?: FunctionVersion): Promise<void> {
		this.#records.set(record.name, structuredClone(record));
		if (!version) return;
		const versions = this.#versions.get(record.name) ?? new Map<string, FunctionVersion>();
		this.#versions.set(record.name, versions.set(version.version, structuredClone(version)));
	}

	async delete(name: string): Promise<void> {
		const { nextVersion = 1 } = this.#records.get(name) ?? {};
		if (nextVersion > 1) {
			this.#deleted.delete(name);
			this.#deleted.set(name, nextVersion);
			for (const oldest of this.#deleted.keys())
				if (this.#deleted.size > maxDeletedNumbers) this.#deleted.delete(oldest);
		}
		this.#records.delete(name);
		this.#versions.delete(name);
	}

	async deleteVersion(record: FunctionRecord, version: string): Promise<void> {
		this.#records.set(record.name, structuredClone(record));
		this.#versions.get(record.name)?.delete(version);
	}

	async list(): Promise<FunctionRecord[]> {
		const all = [...this.#records.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
		return structuredClone(all);
	}

	async listVersions(): Promise<FunctionVersion[]> {
		const names = [...this.#versions.keys()].sort();
		return structuredClone(
			names.flatMap((name) =>
				[...(this.#versions.get(name)?.values() ?? [])].sort((a, b) => Number(a.version) - Number(b.version)),
			),
		);
	}

	async listDeletedNumbers(): Promise<DeletedNumber[]> {
		return [...this.#deleted].map(([name, nextVersion]) => ({ name, nextVersion }));
	}
}
