import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { SlipwayError } from "../../base/error.ts";
import { fromWire } from "../../base/wire-error.ts";
import type { FunctionRecord, FunctionVersion } from "../../core/function/function.ts";
import type { DeletedNumber, FunctionStore } from "../../core/function/function-store.ts";
import type { IdempotencyStore } from "../../core/idempotency/idempotency-store.ts";
import type { RepositoryStore } from "../../core/repository/repository-store.ts";
import type { ResourceChange, ResourceStore, StoredResource } from "../../core/resource/resource-store.ts";
import type { VersionRow } from "./function-queries.ts";
import type { Call, Message } from "./protocol.ts";
import type { ResourceRow, ResourceRowChange } from "./resource-queries.ts";
import { parseFunctionRecord } from "./stored-function.ts";

/** Calls under way at once: past it they are THROTTLED rather than held in memory without bound. */
const maxPending = 10_000;
/** Functions, or versions, parsed between two turns of the event loop; one takes about 10 microseconds. */
const functionsPerPage = 200;
/** The same of resources; a service's document has about 4 KB. */
const resourcesPerPage = 200;

/** Every method of the port, so that a new one can't be forgotten here. */
const repositoryMethods: Record<keyof RepositoryStore, true> = {
	createRepository: true,
	getRepository: true,
	updateRepository: true,
	deleteRepository: true,
	listRepositories: true,
	putManifest: true,
	getManifest: true,
	deleteManifest: true,
	deleteTag: true,
	listManifests: true,
	listTags: true,
	listReferrers: true,
	linkBlob: true,
	hasBlob: true,
	unlinkBlob: true,
	findBlob: true,
	referencedDigests: true,
};

const idempotencyMethods: Record<keyof IdempotencyStore, true> = {
	claim: true,
	complete: true,
	release: true,
	sweep: true,
	usage: true,
};

/**
 * The embedded state store: one SQLite file (write-ahead log, synchronous=FULL) that a thread of its own reads and
 * writes. A call resolves after its commit is on the disk. One process at a time.
 */
export class SqliteStore implements AsyncDisposable {
	readonly repositories: RepositoryStore;
	readonly functions: FunctionStore;
	readonly resources: ResourceStore;
	readonly idempotency: IdempotencyStore;
	readonly #worker: Worker;
	readonly #exited: Promise<void>;
	readonly #pending = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
	#nextId = 1;
	#ended: Error | undefined;

	private constructor(worker: Worker, ready: PromiseWithResolvers<void>) {
		this.#worker = worker;
		this.#exited = new Promise((resolve) => worker.once("exit", () => resolve()));
		worker.on("message", (message: Message) => {
			if ("outcomes" in message) this.#settle(message.outcomes);
			else if ("failed" in message) ready.reject(fromWire(message.failed));
			else ready.resolve();
		});
		const end = (error: Error) => {
			this.#ended ??= error;
			ready.reject(this.#ended);
			for (const { reject } of this.#pending.values()) reject(this.#ended);
			this.#pending.clear();
		};
		worker.on("error", (cause) => end(new SlipwayError("UNAVAILABLE", "The state store has failed", { cause })));
		worker.on("exit", () => end(new SlipwayError("UNAVAILABLE", "The state store is closed")));
		this.repositories = this.#proxy<RepositoryStore>("repositories", repositoryMethods);
		this.idempotency = this.#proxy<IdempotencyStore>("idempotency", idempotencyMethods);
		this.functions = {
			put: async (record, version) => {
				const versionParts = version ? [Number(version.version), JSON.stringify(version)] : [];
				await this.#call("functions", "put", [record.name, JSON.stringify(record), ...versionParts]);
			},
			delete: async (name) => void (await this.#call("functions", "delete", [name])),
			deleteVersion: async (record, version) => {
				await this.#call("functions", "deleteVersion", [record.name, JSON.stringify(record), Number(version)]);
			},
			list: () => this.#listFunctions(),
			listVersions: () => this.#listVersions(),
			listDeletedNumbers: async () => (await this.#call("functions", "deletedNumbers", [])) as DeletedNumber[],
		};
		this.resources = {
			commit: async (changes) => void (await this.#call("resources", "commit", [changes.map(toRow)])),
			list: (kind) => this.#listResources(kind),
		};
	}

	/**
	 * Opens or makes the file and brings its schema up to date. UNAVAILABLE (reason "StoreCorrupt") for a damaged file,
	 * UNSUPPORTED (reason "StoreTooNew") for a newer schema, CONFLICT while another process has it, EXHAUSTED.
	 */
	static async open(options: { path: string }): Promise<SqliteStore> {
		const script = new URL(`./store-worker${extname(import.meta.url)}`, import.meta.url);
		const worker = new Worker(script, { workerData: { path: options.path } });
		const ready = Promise.withResolvers<void>();
		const store = new SqliteStore(worker, ready);
		await ready.promise;
		return store;
	}

	/** Finishes the calls under way, then closes the file. Idempotent. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#worker.postMessage("close");
		await this.#exited;
	}

	/** A port whose methods are the worker's, with the same parameters. */
	#proxy<Port extends object>(target: Call["target"], methods: Record<keyof Port, true>): Port {
		const calls = Object.keys(methods).map((method) => [
			method,
			(...parameters: unknown[]) => this.#call(target, method, parameters),
		]);
		return Object.fromEntries(calls) as Port;
	}

	#call(target: Call["target"], method: string, parameters: unknown[]): Promise<unknown> {
		if (this.#ended) return Promise.reject(this.#ended);
		if (this.#pending.size >= maxPending)
			return Promise.reject(new SlipwayError("THROTTLED", `The state store has ${maxPending} calls waiting already`));
		const { promise, resolve, reject } = Promise.withResolvers<unknown>();
		const id = this.#nextId++;
		this.#pending.set(id, { resolve, reject });
		this.#worker.postMessage({ id, target, method, parameters } satisfies Call);
		return promise;
	}

	#settle(outcomes: Extract<Message, { outcomes: unknown }>["outcomes"]): void {
		for (const outcome of outcomes) {
			const waiter = this.#pending.get(outcome.id);
			this.#pending.delete(outcome.id);
			if ("error" in outcome) waiter?.reject(fromWire(outcome.error));
			else waiter?.resolve(outcome.value);
		}
	}

	async #listFunctions(): Promise<FunctionRecord[]> {
		const records: FunctionRecord[] = [];
		for (let after = ""; ; ) {
			const parameters = [after, functionsPerPage];
			const page = (await this.#call("functions", "page", parameters)) as { name: string; record: string }[];
			for (const { record } of page) records.push(parseFunctionRecord(record));
			const last = page.at(-1);
			if (!last || page.length < functionsPerPage) return records;
			after = last.name;
		}
	}

	async #listVersions(): Promise<FunctionVersion[]> {
		const versions: FunctionVersion[] = [];
		for (let after = { name: "", version: 0 }; ; ) {
			const parameters = [after.name, after.version, functionsPerPage];
			const page = (await this.#call("functions", "versionPage", parameters)) as VersionRow[];
			for (const { record } of page) versions.push(JSON.parse(record) as FunctionVersion);
			const last = page.at(-1);
			if (!last || page.length < functionsPerPage) return versions;
			after = last;
		}
	}

	async #listResources(kind: string): Promise<StoredResource[]> {
		const resources: StoredResource[] = [];
		for (let after = { namespace: "", name: "" }; ; ) {
			const parameters = [kind, after.namespace, after.name, resourcesPerPage];
			const page = (await this.#call("resources", "page", parameters)) as ResourceRow[];
			for (const { namespace, name, document } of page)
				resources.push({ kind, namespace, name, document: JSON.parse(document) as unknown });
			const last = page.at(-1);
			if (!last || page.length < resourcesPerPage) return resources;
			after = last;
		}
	}
}

function toRow(change: ResourceChange): ResourceRowChange {
	return change.change === "put" ? { ...change, document: JSON.stringify(change.document) } : change;
}
