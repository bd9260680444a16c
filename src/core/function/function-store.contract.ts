/** What every FunctionStore has to do; an adapter's test calls this with a way to make an empty one. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FunctionRecord, FunctionVersion } from "./function.ts";
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
		nextVersion: 1,
		aliases: {},
		policies: {},
		reservedConcurrency: undefined,
		provisionedConcurrency: {},
		urls: {},
		recursiveLoop: "Terminate",
		spares: { created: "auto", initialized: "auto" },
		...change,
	};
}

export function functionVersion(name: string, version: string, change: Partial<FunctionVersion> = {}): FunctionVersion {
	const { configuration, code, lastModifiedMs } = functionRecord(name);
	return {
		functionName: name,
		version,
		configuration,
		code,
		lastModifiedMs,
		revisionId: `v${version}`,
		state: { state: "Active" },
		functionDescription: "",
		...change,
	};
}

/** As the store gives it back: a property that is undefined may be missing. */
const stored = (records: (FunctionRecord | FunctionVersion)[]): unknown => JSON.parse(JSON.stringify(records));

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

		test("keeps what belongs to a function whole", async (store) => {
			const record = functionRecord("a", {
				nextVersion: 3,
				aliases: {
					live: {
						name: "live",
						description: "",
						version: "2",
						routing: { version: "1", weight: 0.1 },
						revisionId: "a1",
					},
				},
				policies: {
					"": { revisionId: "p1", statements: [{ sid: "s", action: "lambda:InvokeFunction", principal: "*" }] },
				},
				reservedConcurrency: 0,
				provisionedConcurrency: { live: { requested: 2, lastModifiedMs: 1 } },
				urls: {
					"": {
						urlId: "u".repeat(32),
						authType: "NONE",
						invokeMode: undefined,
						cors: { allowOrigins: ["*"] },
						createdMs: 1,
						lastModifiedMs: 2,
					},
				},
				recursiveLoop: "Allow",
				spares: { created: 0, initialized: 3 },
			});
			await store.put(record);
			assert.deepEqual(stored(await store.list()), stored([record]));
		});

		test("versions by function and number; a record and its version in one write", async (store) => {
			assert.deepEqual(await store.listVersions(), []);
			for (const [name, version] of [
				["b", "2"],
				["b", "10"],
				["a", "1"],
				["b", "1"],
			] as const)
				await store.put(functionRecord(name, { revisionId: `with ${version}` }), functionVersion(name, version));
			const all = await store.listVersions();
			assert.deepEqual(
				all.map(({ functionName, version }) => `${functionName}:${version}`),
				["a:1", "b:1", "b:2", "b:10"],
			);
			assert.deepEqual(stored(all.slice(0, 1)), stored([functionVersion("a", "1")]));
			await store.put(functionRecord("b"), functionVersion("b", "2", { revisionId: "changed" }));
			assert.equal((await store.listVersions())[2]?.revisionId, "changed");
			assert.equal((await store.listVersions()).length, 4);
		});

		test("deleting a version replaces the record; deleting a function takes its versions along", async (store) => {
			for (const version of ["1", "2"]) await store.put(functionRecord("a"), functionVersion("a", version));
			await store.put(functionRecord("ab"), functionVersion("ab", "1"));
			for (let i = 0; i < 2; i++) await store.deleteVersion(functionRecord("a", { revisionId: "r9" }), "1");
			assert.deepEqual(
				(await store.listVersions()).map(({ functionName, version }) => `${functionName}:${version}`),
				["a:2", "ab:1"],
			);
			assert.equal((await store.list())[0]?.revisionId, "r9");
			await store.delete("a");
			assert.deepEqual(stored(await store.listVersions()), stored([functionVersion("ab", "1")]));
			await store.put(functionRecord("a"));
			assert.equal((await store.listVersions()).length, 1, "a name that is used again has no old versions");
		});

		test("keeps the next number of a deleted function that had versions", async (store) => {
			for (const [name, nextVersion] of [
				["a", 3],
				["b", 1],
				["c", 2],
			] as const)
				await store.put(functionRecord(name, { nextVersion }));
			for (const name of ["a", "b", "b", "none"]) await store.delete(name);
			assert.deepEqual(await store.listDeletedNumbers(), [{ name: "a", nextVersion: 3 }]);
			await store.put(functionRecord("a", { nextVersion: 7 }));
			for (const name of ["c", "a"]) await store.delete(name);
			assert.deepEqual(
				new Set(await store.listDeletedNumbers()),
				new Set([
					{ name: "a", nextVersion: 7 },
					{ name: "c", nextVersion: 2 },
				]),
			);
		});

		test("lists more than one page of versions", async (store) => {
			const puts = [1, 2, 3].flatMap((n) =>
				Array.from({ length: 150 }, (_, i) =>
					store.put(functionRecord(`f${n}`), functionVersion(`f${n}`, String(i + 1))),
				),
			);
			await Promise.all(puts);
			const all = await store.listVersions();
			assert.equal(all.length, 450);
			assert.deepEqual([all[149]?.version, all[150]?.functionName, all[150]?.version], ["150", "f2", "1"]);
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
