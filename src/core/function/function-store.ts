import type { FunctionRecord } from "./function.ts";

/** Functions by name. Every write is on the disk before it resolves. Read whole at start; the engine keeps them in memory. */
export interface FunctionStore {
	/** Inserts or replaces. */
	put(record: FunctionRecord): Promise<void>;
	/** Idempotent. */
	delete(name: string): Promise<void>;
	/** All of them, by name. */
	list(): Promise<FunctionRecord[]>;
}
