import { SlipwayError } from "../../base/error.ts";
import type { FunctionRecord, FunctionVersion } from "../../core/function/function.ts";
import { type FunctionStore, maxDeletedNumbers } from "../../core/function/function-store.ts";

/** One write: the record, and with it a version that is published or changed, or one that goes. */
export interface RecordChange {
	record: FunctionRecord;
	version?: FunctionVersion;
	deleted?: string;
}

/** `undefined` before: the function is new; after: it is gone. */
export type RecordListener = (
	name: string,
	before: FunctionRecord | undefined,
	after: FunctionRecord | undefined,
) => void;

/** Functions and their versions: in memory for reads, in the store before any change is seen or answered. */
export class FunctionRecords {
	readonly #store: FunctionStore;
	readonly #arnPrefix: string;
	readonly #records = new Map<string, FunctionRecord>();
	/** By function, then by number, in the order of the numbers. */
	readonly #versions = new Map<string, Map<string, FunctionVersion>>();
	/** Of deleted functions: numbers are never used twice. */
	readonly #deletedNumbers = new Map<string, number>();
	readonly #changes = new Map<string, Promise<void>>();
	readonly #listeners: RecordListener[] = [];

	private constructor(store: FunctionStore, arnPrefix: string) {
		this.#store = store;
		this.#arnPrefix = arnPrefix;
	}

	/** `arnPrefix` ends in ":function:". */
	static async open(store: FunctionStore, arnPrefix: string): Promise<FunctionRecords> {
		const records = new FunctionRecords(store, arnPrefix);
		for (const record of await store.list()) records.#records.set(record.name, record);
		for (const version of await store.listVersions()) records.#setVersion(version);
		for (const { name, nextVersion } of await store.listDeletedNumbers())
			records.#deletedNumbers.set(name, nextVersion);
		return records;
	}

	/** Called after each change is on the disk, before the change is answered. */
	onChange(listener: RecordListener): void {
		this.#listeners.push(listener);
	}

	arn(name: string, qualifier = ""): string {
		return `${this.#arnPrefix}${name}${qualifier === "" ? "" : `:${qualifier}`}`;
	}

	find(name: string): FunctionRecord | undefined {
		return this.#records.get(name);
	}

	/** NOT_FOUND, in whose message the function has this qualifier. */
	get(name: string, qualifier = ""): FunctionRecord {
		const record = this.#records.get(name);
		if (!record)
			throw new SlipwayError("NOT_FOUND", `Function not found: ${this.arn(name, qualifier)}`, {
				hint: "`slipway function ls` lists the functions",
			});
		return record;
	}

	/** By name. */
	names(): string[] {
		return [...this.#records.keys()].sort();
	}

	all(): Iterable<FunctionRecord> {
		return this.#records.values();
	}

	has(name: string): boolean {
		return this.#records.has(name);
	}

	get count(): number {
		return this.#records.size;
	}

	/** By number. None for a function that is not there. */
	versions(name: string): Iterable<FunctionVersion> {
		return this.#versions.get(name)?.values() ?? [];
	}

	versionCount(name: string): number {
		return this.#versions.get(name)?.size ?? 0;
	}

	version(name: string, version: string): FunctionVersion | undefined {
		return this.#versions.get(name)?.get(version);
	}

	/** What a new function of this name calls its first version: 1, or what follows the last of its namesake. */
	firstVersion(name: string): number {
		return this.#deletedNumbers.get(name) ?? 1;
	}

	/** `make` is called when the name's earlier changes are done: a deletion among them keeps a number. ALREADY_EXISTS. */
	add(name: string, make: () => RecordChange): Promise<FunctionRecord> {
		return this.#exclusive(name, async () => {
			this.refuseExisting(name);
			const change = make();
			await this.#write(change);
			return change.record;
		});
	}

	refuseExisting(name: string): void {
		if (this.#records.has(name)) throw new SlipwayError("ALREADY_EXISTS", `Function already exist: ${name}`);
	}

	/**
	 * Changes of one function happen one after the other: each sees what the one before it saved. `decide` must not
	 * wait; undefined leaves everything as it is. NOT_FOUND, in whose message the function has `qualifier`.
	 */
	change(
		name: string,
		decide: (record: FunctionRecord) => FunctionRecord | RecordChange | undefined,
		qualifier = "",
	): Promise<FunctionRecord> {
		return this.#exclusive(name, async () => {
			const record = this.get(name, qualifier);
			const decided = decide(record);
			if (decided === undefined) return record;
			const change = "record" in decided ? decided : { record: decided };
			await this.#write(change);
			return change.record;
		});
	}

	/** As `change`, but a function that is gone is no error: undefined. */
	changeExisting(
		name: string,
		decide: (record: FunctionRecord) => RecordChange | undefined,
	): Promise<FunctionRecord | undefined> {
		return this.#exclusive(name, async () => {
			const record = this.#records.get(name);
			const change = record && decide(record);
			if (change) await this.#write(change);
			return change?.record ?? record;
		});
	}

	/** With its versions. NOT_FOUND. */
	delete(name: string): Promise<void> {
		return this.#exclusive(name, async () => {
			const before = this.get(name);
			await this.#store.delete(name);
			this.#records.delete(name);
			this.#versions.delete(name);
			if (before.nextVersion > 1) this.#keepNumber(before);
			for (const listener of this.#listeners) listener(name, before, undefined);
		});
	}

	/** As the store does. */
	#keepNumber({ name, nextVersion }: FunctionRecord): void {
		this.#deletedNumbers.delete(name);
		this.#deletedNumbers.set(name, nextVersion);
		const [oldest] = this.#deletedNumbers.keys();
		if (oldest !== undefined && this.#deletedNumbers.size > maxDeletedNumbers) this.#deletedNumbers.delete(oldest);
	}

	async #write({ record, version, deleted }: RecordChange): Promise<void> {
		if (deleted === undefined) await this.#store.put(record, version);
		else await this.#store.deleteVersion(record, deleted);
		const before = this.#records.get(record.name);
		this.#records.set(record.name, record);
		if (version) this.#setVersion(version);
		if (deleted !== undefined) this.#versions.get(record.name)?.delete(deleted);
		for (const listener of this.#listeners) listener(record.name, before, record);
	}

	#setVersion(version: FunctionVersion): void {
		const { functionName } = version;
		const versions = this.#versions.get(functionName) ?? new Map<string, FunctionVersion>();
		this.#versions.set(functionName, versions.set(version.version, version));
	}

	#exclusive<T>(name: string, change: () => Promise<T>): Promise<T> {
		const done = (this.#changes.get(name) ?? Promise.resolve()).then(change, change);
		const settled = done.then(
			() => {},
			() => {},
		);
		this.#changes.set(name, settled);
		void settled.then(() => {
			if (this.#changes.get(name) === settled) this.#changes.delete(name);
		});
		return done;
	}
}

/** Users choose the keys: "constructor" is a fair name for an alias. */
export function own<T>(of: Record<string, T>, key: string): T | undefined {
	return Object.hasOwn(of, key) ? of[key] : undefined;
}

export function without<T>(from: Record<string, T>, key: string): Record<string, T> {
	const { [key]: _, ...rest } = from;
	return rest;
}
