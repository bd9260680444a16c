interface Watcher {
	prefix: string;
	onReady: (lane: string) => void;
	/** Lanes it is yet to be told of. */
	lanes: Set<string>;
}

/** Who wants to hear of lanes with ready messages. Each is told in a turn of its own, once for however many causes came together. */
export class ReadyWatchers {
	readonly #watchers = new Set<Watcher>();
	readonly #readyLanes: (prefix: string) => Promise<string[]>;

	/** `readyLanes`: the lanes that have ready messages as a watch begins; what it fails with is the log's to report. */
	constructor(readyLanes: (prefix: string) => Promise<string[]>) {
		this.#readyLanes = readyLanes;
	}

	watch(prefix: string, onReady: (lane: string) => void): () => void {
		const watcher: Watcher = { prefix, onReady, lanes: new Set() };
		this.#watchers.add(watcher);
		queueMicrotask(async () => {
			for (const lane of await this.#readyLanes(prefix)) this.#tell(watcher, lane);
		});
		return () => this.#watchers.delete(watcher);
	}

	notify(lane: string): void {
		for (const watcher of this.#watchers) if (lane.startsWith(watcher.prefix)) this.#tell(watcher, lane);
	}

	/** Whoever watches hears nothing any more. */
	clear(): void {
		this.#watchers.clear();
	}

	#tell(watcher: Watcher, lane: string): void {
		if (watcher.lanes.has(lane)) return;
		watcher.lanes.add(lane);
		queueMicrotask(() => {
			watcher.lanes.delete(lane);
			if (this.#watchers.has(watcher)) watcher.onReady(lane);
		});
	}
}
