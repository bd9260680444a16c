import type { Clock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { FunctionRecord } from "../../core/function/function.ts";
import type { ResourceChange, ResourceStore } from "../../core/resource/resource-store.ts";
import type { FunctionRecords } from "../functions/records.ts";

/** namespace: the function; name: the qualifier, "$LATEST" for the function itself. */
export const eventInvokeConfigKind = "event-invoke-config";

/** How one function, version or alias deals with asynchronous events (API_PutFunctionEventInvokeConfig). What is left out has AWS's defaults. */
export interface EventInvokeConfig {
	/** 0 to 2. */
	maximumRetryAttempts?: number | undefined;
	/** 60 to 21,600 seconds. */
	maximumEventAgeS?: number | undefined;
	/** ARNs. */
	onSuccess?: string | undefined;
	onFailure?: string | undefined;
	lastModifiedMs: number;
}

export type EventInvokeSettings = Omit<EventInvokeConfig, "lastModifiedMs">;

export interface EventInvokeConfigsDeps {
	store: ResourceStore;
	functions: Pick<FunctionRecords, "find" | "version" | "onChange">;
	clock: Clock;
	logger: Log;
}

/** In memory for each event, in the store before a change is answered; they go with what they are of. */
export class EventInvokeConfigs {
	readonly #deps: EventInvokeConfigsDeps;
	readonly #functions = new Map<string, Map<string, EventInvokeConfig>>();
	#last: Promise<unknown> = Promise.resolve();

	private constructor(deps: EventInvokeConfigsDeps) {
		this.#deps = deps;
	}

	static async open(deps: EventInvokeConfigsDeps): Promise<EventInvokeConfigs> {
		const configs = new EventInvokeConfigs(deps);
		for (const { namespace, name, document } of await deps.store.list(eventInvokeConfigKind))
			configs.#set(namespace, name, document as EventInvokeConfig);
		// Those of functions that went while a daemon was killed.
		for (const name of [...configs.#functions.keys()]) await configs.#prune(name);
		deps.functions.onChange((name) => configs.#pruneInBackground(name));
		return configs;
	}

	/** Asked for each event. `qualifier`: undefined and "$LATEST" are the function itself. */
	find(name: string, qualifier = "$LATEST"): EventInvokeConfig | undefined {
		return this.#functions.get(name)?.get(qualifier);
	}

	/** By qualifier. */
	list(name: string): { qualifier: string; config: EventInvokeConfig }[] {
		const all = [...(this.#functions.get(name) ?? [])];
		return all
			.map(([qualifier, config]) => ({ qualifier, config }))
			.sort((a, b) => (a.qualifier < b.qualifier ? -1 : 1));
	}

	/** In place of what was there. NOT_FOUND where the function, version or alias is not there. */
	put(name: string, qualifier: string, settings: EventInvokeSettings): Promise<EventInvokeConfig> {
		return this.#change(async () => {
			if (!isThere(this.#deps.functions, name, qualifier))
				throw new SlipwayError("NOT_FOUND", "The function doesn't exist.");
			const config = { ...settings, lastModifiedMs: this.#deps.clock.now() };
			await this.#commit({ change: "put", ...key(name, qualifier), document: config });
			this.#set(name, qualifier, config);
			return config;
		});
	}

	/** What is given changes. NOT_FOUND without a configuration. */
	update(name: string, qualifier: string, settings: EventInvokeSettings): Promise<EventInvokeConfig> {
		return this.#change(async () => {
			const config = { ...this.#get(name, qualifier), ...settings, lastModifiedMs: this.#deps.clock.now() };
			await this.#commit({ change: "put", ...key(name, qualifier), document: config });
			this.#set(name, qualifier, config);
			return config;
		});
	}

	/** NOT_FOUND without one. */
	delete(name: string, qualifier: string): Promise<void> {
		return this.#change(async () => {
			this.#get(name, qualifier);
			await this.#remove(name, [qualifier]);
		});
	}

	/** Waits for changes under way; for an orderly end. */
	async settled(): Promise<void> {
		await this.#last;
	}

	#get(name: string, qualifier: string): EventInvokeConfig {
		const config = this.find(name, qualifier);
		if (config) return config;
		throw new SlipwayError("NOT_FOUND", `The function ${name}:${qualifier} doesn't have an EventInvokeConfig`);
	}

	#pruneInBackground(name: string): void {
		if (!this.#functions.has(name)) return;
		this.#change(() => this.#prune(name)).catch((error: unknown) => {
			// What is left over goes at the next start.
			this.#deps.logger.error("Settings of a function that is gone could not be removed", { function: name, error });
		});
	}

	async #prune(name: string): Promise<void> {
		const qualifiers = [...(this.#functions.get(name)?.keys() ?? [])];
		const gone = qualifiers.filter((qualifier) => !isThere(this.#deps.functions, name, qualifier));
		if (gone.length > 0) await this.#remove(name, gone);
	}

	async #remove(name: string, qualifiers: readonly string[]): Promise<void> {
		await this.#commit(...qualifiers.map((qualifier) => ({ change: "delete" as const, ...key(name, qualifier) })));
		const of = this.#functions.get(name);
		for (const qualifier of qualifiers) of?.delete(qualifier);
		if (of?.size === 0) this.#functions.delete(name);
	}

	#set(name: string, qualifier: string, config: EventInvokeConfig): void {
		const of = this.#functions.get(name) ?? new Map<string, EventInvokeConfig>();
		this.#functions.set(name, of.set(qualifier, config));
	}

	#commit(...changes: ResourceChange[]): Promise<void> {
		return this.#deps.store.commit(changes);
	}

	#change<T>(task: () => Promise<T>): Promise<T> {
		const done = this.#last.then(task);
		this.#last = done.catch(() => {});
		return done;
	}
}

function key(namespace: string, name: string) {
	return { kind: eventInvokeConfigKind, namespace, name };
}

/** Whether the function has the version or alias now. */
export function isThere(
	functions: Pick<FunctionRecords, "find" | "version">,
	name: string,
	qualifier: string | undefined,
): boolean {
	const record = functions.find(name);
	if (!record || qualifier === undefined || qualifier === "$LATEST") return record !== undefined;
	return (
		versionOf(record, qualifier) === "$LATEST" || functions.version(name, versionOf(record, qualifier)) !== undefined
	);
}

/** Of an alias, the version that gets most of its events. */
export function versionOf(record: FunctionRecord, qualifier: string): string {
	return Object.hasOwn(record.aliases, qualifier) ? (record.aliases[qualifier]?.version ?? qualifier) : qualifier;
}
