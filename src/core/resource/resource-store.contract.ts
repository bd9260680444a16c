/** What every ResourceStore has to do; an adapter's test calls this with a way to make an empty one. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ResourceStore, StoredResource } from "./resource-store.ts";

export interface ResourceStoreFixture extends AsyncDisposable {
	store: ResourceStore;
}

export function resource(name: string, document: unknown = { name }, namespace = "default"): StoredResource {
	return { kind: "service", namespace, name, document };
}

const put = (...resources: StoredResource[]) => resources.map((one) => ({ change: "put" as const, ...one }));

export function resourceStoreContract(name: string, make: () => Promise<ResourceStoreFixture>): void {
	const test = (title: string, body: (store: ResourceStore) => Promise<void>) =>
		it(title, async () => {
			await using fixture = await make();
			await body(fixture.store);
		});
	describe(`ResourceStore contract: ${name}`, () => {
		test("keeps documents whole, lists them by namespace, then name", async (store) => {
			assert.deepEqual(await store.list("service"), []);
			const all = [
				resource("b"),
				resource("a", { deep: [{ text: "hellö\u0000\u2028" }, null, 1.5, true] }),
				resource("B"),
			];
			await store.commit(put(...all, resource("z", "text", "a")));
			assert.deepEqual(await store.list("service"), [resource("z", "text", "a"), all[2], all[1], all[0]]);
		});

		test("keeps kinds apart", async (store) => {
			await store.commit(put(resource("a"), { ...resource("a", 2), kind: "job" }));
			assert.deepEqual(await store.list("job"), [{ ...resource("a", 2), kind: "job" }]);
			assert.equal((await store.list("service")).length, 1);
			await store.commit([{ change: "delete", kind: "job", namespace: "default", name: "a" }]);
			assert.equal((await store.list("service")).length, 1);
		});

		test("replaces, deletes, and deletes what is not there", async (store) => {
			await store.commit(put(resource("a"), resource("b")));
			await store.commit([
				...put(resource("a", "new")),
				{ change: "delete", kind: "service", namespace: "default", name: "b" },
				{ change: "delete", kind: "service", namespace: "default", name: "never" },
			]);
			assert.deepEqual(await store.list("service"), [resource("a", "new")]);
		});

		test("takes changes of one commit in order", async (store) => {
			await store.commit([
				...put(resource("a", 1)),
				{ change: "delete", kind: "service", namespace: "default", name: "a" },
				...put(resource("a", 2)),
			]);
			assert.deepEqual(await store.list("service"), [resource("a", 2)]);
			await store.commit([]);
		});

		test("commits that are under way at once end in the order they were asked for", async (store) => {
			await Promise.all(Array.from({ length: 50 }, (_, i) => store.commit(put(resource("a", i), resource(`n${i}`)))));
			const all = await store.list("service");
			assert.equal(all.length, 51);
			assert.equal(all[0]?.document, 49);
		});

		test("what it gives back is the caller's own", async (store) => {
			const document = { list: [1] };
			await store.commit(put(resource("a", document)));
			document.list.push(2);
			const [first] = await store.list("service");
			assert.ok(first);
			(first.document as { list: number[] }).list.push(3);
			assert.deepEqual(await store.list("service"), [resource("a", { list: [1] })]);
		});

		test("lists many", async (store) => {
			const names = Array.from({ length: 1500 }, (_, i) => `n${String(i).padStart(5, "0")}`);
			await store.commit(put(...names.map((one) => resource(one))));
			assert.deepEqual(
				(await store.list("service")).map((one) => one.name),
				names,
			);
		});
	});
}
