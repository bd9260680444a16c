import type { FunctionRecord } from "./function.ts";
import type { FunctionStore } from "./function-store.ts";

/** A FunctionStore in memory, for tests. */
export class FakeFunctionStore implements FunctionStore {
	readonly #records = new Map<string, FunctionRecord>();

	async put(record: FunctionRecord): Promise<void> {
		this.#records.set(record.name, structuredClone(record));
	}

	async delete(name: string): Promise<void> {
		this.#records.delete(name);
	}

	async list(): Promise<FunctionRecord[]> {
		const all = [...this.#records.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
		return structuredClone(all);
	}
}
