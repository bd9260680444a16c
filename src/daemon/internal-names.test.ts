import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { checkedNames } from "../core/sandbox/sandbox-names.ts";
import type { KnativeService } from "../core/service/knative.ts";
import type { WatchEvent } from "../engine/services/types.ts";
import { InternalNames } from "./internal-names.ts";

const services = "169.254.170.1";
const always = {
	"aws.internal": services,
	"slipway.internal": services,
	"host.internal": "169.254.170.2",
	"metadata.google.internal": "169.254.169.254",
};

function service(name: string, namespace = "default", ...tags: string[]): KnativeService {
	return {
		metadata: { name, namespace },
		spec: { traffic: tags.map((tag) => ({ tag })) },
		status: {},
	} as unknown as KnativeService;
}

/** Services and functions that a test changes, and what was published of them. */
function world() {
	const known = new Map<string, KnativeService>();
	const functions = new Set<string>();
	const published: Record<string, string>[] = [];
	let waiting: WatchEvent[] = [];
	let wake = () => {};
	let onFunction = () => {};
	let overrun = false;
	let watches = 0;
	const tell = (event: WatchEvent) => {
		waiting.push(event);
		wake();
	};
	return {
		published,
		get watches() {
			return watches;
		},
		set: (one: KnativeService) => {
			known.set(`${one.metadata.namespace}/${one.metadata.name}`, one);
			tell({ type: "MODIFIED", object: one });
		},
		delete: (one: KnativeService) => {
			known.delete(`${one.metadata.namespace}/${one.metadata.name}`);
			tell({ type: "DELETED", object: one });
		},
		/** The watch loses what it has not told. */
		overrun: () => {
			overrun = true;
			waiting = [];
			wake();
		},
		setFunctions: (...names: string[]) => {
			functions.clear();
			for (const name of names) functions.add(name);
			onFunction();
		},
		options: {
			services: {
				services: () => [...known.values()],
				async *watch(_kind: string, { signal }: { signal: AbortSignal }) {
					watches++;
					signal.addEventListener("abort", () => wake());
					while (!signal.aborted) {
						const next = waiting.shift();
						if (next) yield next;
						else if (overrun) {
							overrun = false;
							throw new Error("too slow");
						} else await new Promise<void>((resolve) => (wake = resolve));
					}
				},
			},
			functions: {
				all: () => [...functions].map((name) => ({ name })),
				onChange: (listener: () => void) => {
					onFunction = listener;
				},
			},
			publish: (names: Readonly<Record<string, string>>) => void published.push(checkedNames(names)),
			clock: { ...systemClock, sleep: (_ms: number, signal?: AbortSignal) => systemClock.sleep(1, signal) },
			log: silentLog,
		},
	};
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 60));

test("names of services and functions are published, and again when they change", { timeout: 10_000 }, async () => {
	const { options, published, set, setFunctions, ...rest } = world();
	set(service("orders", "default", "next"));
	set(service("orders", "shop"));
	setFunctions("Resize", "with_underscore", "orders", "host");
	const names = new InternalNames(options);
	await settled();
	const expected: Record<string, string> = {
		...always,
		"orders.internal": services,
		"orders.default.internal": services,
		"next---orders.internal": services,
		"next---orders.default.internal": services,
		"orders.shop.internal": services,
		"resize.internal": services,
	};
	assert.deepEqual(published, [expected]);

	// A change of other things than names is none, and many at once are one.
	set(service("orders", "default", "next"));
	await settled();
	assert.equal(published.length, 1);
	for (let at = 0; at < 50; at++) set(service(`many-${at}`));
	setFunctions();
	await settled();
	assert.equal(published.length, 2);
	assert.equal(published[1]?.["many-49.internal"], services);
	assert.equal(published[1]?.["resize.internal"], undefined);

	rest.delete(service("orders"));
	rest.delete(service("orders", "shop"));
	await settled();
	assert.equal(published.length, 3);
	assert.deepEqual(
		Object.keys(published[2] ?? {}).filter((name) => name.includes("orders")),
		[],
	);
	await names[Symbol.asyncDispose]();
});

test("nothing is missed when a watch ends, and nobody takes the platform's own names", {
	timeout: 10_000,
}, async () => {
	const there = world();
	const names = new InternalNames(there.options);
	await settled();
	assert.deepEqual(there.published, [always]);
	there.set(service("host"));
	there.set(service("metadata", "google"));
	there.overrun();
	await settled();
	assert.equal(there.watches, 2);
	assert.deepEqual(there.published.at(-1), { ...always, "host.default.internal": services });
	await names[Symbol.asyncDispose]();
	there.set(service("late"));
	await settled();
	assert.equal(there.published.length, 2);
});
