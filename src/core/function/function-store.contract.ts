/** What every FunctionStore has to do; an adapter's test calls this with a way to make an empty one. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FunctionRecord } from "./function.ts";
import type { FunctionStore } from "./function-store.ts";

export interface FunctionStoreFixture extends AsyncDisposable {
	store: FunctionStore;
}

export function functionRecord(name: string, change: Partial<FunctionRecord> = {}): FunctionRecord {
	const configuration: FunctionRecord["configuration"] = {
		description: "",
		role: "arn:aws:iam::123456789012:role/r",
		memoryMiB: 128,
		timeoutS: 3,
		tmpMiB: 512,
		architecture: "x86_64",
		environment: { GREETING: "hellö\u0000\u2028" },
		imageConfig: { command: ["app.handler"] },
		tracingMode: "PassThrough",
		logFormat: "Text",
		applicationLogLevel: undefined,
		systemLogLevel: undefined,
		logGroup: `/aws/lambda/${name}`,
	};
	const code = { imageUri: "r/a:1", resolvedImageUri: undefined, manifestDigest: undefined, image: undefined };
	return {
		name,
		arn: `arn:aws:lambda:us-east-1:123456789012:function:${name}`,
		revisionId: "r1",
		lastModifiedMs: 1_700_000_000_000,
		createdMs: 1_700_000_000_000,
		configuration,
		code,
		state: { state: "Pending", reason: "The function is being created.", reasonCode: "Creating" },
		lastUpdate: { status: "None" },
		active: undefined,
		tags: {},
		...change,
	};
}

/** As the store gives it back: a property that is undefined may be missing. */
const stored = (records: FunctionRecord[]): unknown => JSON.parse(JSON.stringify(records));

export function functionStoreContract(name: string, make: () => Promise<FunctionStoreFixture>): void {
	const test = (title: string, body: (store: FunctionStore) => Promise<void>) =>
		it(title, async () => {
			await using fixture = await make();
			await body(fixture.store);
		});
	describe(`FunctionStore contract: ${name}`, () => {
		test("keeps records whole and lists them by name", async (store) => {
			assert.deepEqual(await store.list(), []);
			for (const one of ["b", "a", "B"]) await store.put(functionRecord(one));
			assert.deepEqual(stored(await store.list()), stored(["B", "a", "b"].map((one) => functionRecord(one))));
		});

		test("replaces and deletes", async (store) => {
			await store.put(functionRecord("a"));
			await store.put(functionRecord("a", { revisionId: "r2" }));
			assert.deepEqual(
				(await store.list()).map((one) => one.revisionId),
				["r2"],
			);
			await store.delete("a");
			await store.delete("a");
			assert.deepEqual(await store.list(), []);
		});

		test("what the caller changes later is not what was put", async (store) => {
			const record = functionRecord("a");
			const put = store.put(record);
			record.revisionId = "changed";
			await put;
			const [first] = await store.list();
			assert.equal(first?.revisionId, "r1");
			first!.revisionId = "changed";
			assert.equal((await store.list())[0]?.revisionId, "r1");
		});

		test("lists more than one page of them", async (store) => {
			const names = Array.from({ length: 450 }, (_, i) => `f${String(i).padStart(4, "0")}`);
			await Promise.all(names.map((one) => store.put(functionRecord(one))));
			assert.deepEqual(
				(await store.list()).map((one) => one.name),
				names,
			);
		});
	});
}
