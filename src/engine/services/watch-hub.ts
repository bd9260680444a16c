import { SlipwayError } from "../../base/error.ts";
import type { AnyKnativeObject } from "../../core/service/knative.ts";
import type { WatchEvent, WatchOptions } from "./types.ts";

type Kind = AnyKnativeObject["kind"];

interface Numbered extends WatchEvent {
	version: number;
}

/** Events that a client which was away can catch up with: with four objects a deployment, some hundred deployments. */
const maxHistory = 5000;
/** Events that a watcher has not taken yet: a slower one is ended, and begins anew from a list. */
const maxWaiting = 10_000;
/** Watches at once. */
const maxWatches = 2000;

interface Watcher {
	kind: Kind;
	options: WatchOptions;
	waiting: Numbered[];
	wake: () => void;
	overrun: boolean;
}

/** Every change of every object, in order, for those who watch. */
export class WatchHub {
	readonly #history: Numbered[] = [];
	readonly #watchers = new Set<Watcher>();
	/** Changes up to this version are known no more. */
	#floor: number;

	constructor(version: number) {
		this.#floor = version;
	}

	publish(event: WatchEvent): void {
		const numbered = { ...event, version: Number(event.object.metadata.resourceVersion) };
		this.#history.push(numbered);
		if (this.#history.length > maxHistory) this.#floor = this.#history.shift()?.version ?? this.#floor;
		for (const watcher of this.#watchers) {
			if (!isWanted(watcher, numbered)) continue;
			// From the first that it misses on it gets none: its last one is where it may go on from.
			watcher.overrun ||= watcher.waiting.length >= maxWaiting;
			if (!watcher.overrun) watcher.waiting.push(numbered);
			watcher.wake();
		}
	}

	/** Registered when it is called, not when it is first read. CONFLICT (reason "Expired"), THROTTLED. */
	watch(kind: Kind, options: WatchOptions): AsyncIterable<WatchEvent> {
		if (this.#watchers.size >= maxWatches)
			throw new SlipwayError("THROTTLED", `More than ${maxWatches} watches are open already`, { retryAfterMs: 1000 });
		const watcher: Watcher = { kind, options, waiting: this.#since(kind, options), wake: () => {}, overrun: false };
		this.#watchers.add(watcher);
		options.signal.addEventListener("abort", () => this.#end(watcher), { once: true });
		if (options.signal.aborted) this.#watchers.delete(watcher);
		return this.#events(watcher);
	}

	#end(watcher: Watcher): void {
		this.#watchers.delete(watcher);
		watcher.wake();
	}

	#since(kind: Kind, options: WatchOptions): Numbered[] {
		const { resourceVersion } = options;
		if (resourceVersion === undefined || resourceVersion === "" || resourceVersion === "0") return [];
		if (!/^\d{1,15}$/.test(resourceVersion))
			throw new SlipwayError("INVALID", `resourceVersion '${resourceVersion.slice(0, 40)}' is not a number`, {
				reason: "Invalid",
			});
		const version = Number(resourceVersion);
		if (version < this.#floor)
			throw new SlipwayError("CONFLICT", `too old resource version: ${version} (${this.#floor})`, {
				reason: "Expired",
				hint: "List the objects again and watch from the list's resourceVersion",
			});
		const wanted = { kind, options } as Watcher;
		return this.#history.filter((event) => event.version > version && isWanted(wanted, event));
	}

	async *#events(watcher: Watcher): AsyncGenerator<WatchEvent> {
		const { signal } = watcher.options;
		try {
			while (!signal.aborted) {
				const next = watcher.waiting.shift();
				if (next) {
					yield { type: next.type, object: next.object };
					continue;
				}
				if (watcher.overrun)
					throw new SlipwayError("CONFLICT", "The watch was read too slowly and has missed changes", {
						reason: "Expired",
					});
				await new Promise<void>((resolve) => {
					watcher.wake = resolve;
				});
			}
		} finally {
			this.#watchers.delete(watcher);
		}
	}
}

function isWanted({ kind, options }: Pick<Watcher, "kind" | "options">, { object }: WatchEvent): boolean {
	const { namespace, name } = object.metadata;
	if (object.kind !== kind) return false;
	return (options.namespace ?? namespace) === namespace && (options.name ?? name) === name;
}
