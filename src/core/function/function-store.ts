import type { FunctionRecord, FunctionVersion } from "./function.ts";

export interface DeletedNumber {
	name: string;
	nextVersion: number;
}

/** A row of some 50 bytes each; who makes functions with ever new names must not fill the store. */
export const maxDeletedNumbers = 100_000;

/** Functions by name, and their versions. Every write is on the disk before it resolves. Read whole at start; the engine keeps them in memory. */
export interface FunctionStore {
	/** Inserts or replaces; with a version that the same change publishes or changes: both or neither. */
	put(record: FunctionRecord, version?: FunctionVersion): Promise<void>;
	/** With all its versions. Idempotent. The number that its next version would have had is kept, if it had any. */
	delete(name: string): Promise<void>;
	/** Replaces the record and deletes one of its versions: both or neither. Idempotent. */
	deleteVersion(record: FunctionRecord, version: string): Promise<void>;
	/** All of them, by name. Records of earlier releases come complete: what they did not know has its default. */
	list(): Promise<FunctionRecord[]>;
	/** All versions of all functions, by function name, then by number. */
	listVersions(): Promise<FunctionVersion[]>;
	/**
	 * `nextVersion` of the functions that were deleted, of the last `maxDeletedNumbers` of them: numbers are not used again
	 * even if a function is deleted and made anew (AWS Lambda developer guide, "Introduction to Lambda versioning").
	 */
	listDeletedNumbers(): Promise<DeletedNumber[]>;
}
