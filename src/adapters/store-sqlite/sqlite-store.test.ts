import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { type ErrorCode, isSlipwayError } from "../../base/error.ts";
import { longestTurn } from "../../base/testing/longest-turn.ts";
import { functionRecord, functionStoreContract, functionVersion } from "../../core/function/function-store.contract.ts";
import { idempotencyStoreContract } from "../../core/idempotency/idempotency-store.contract.ts";
import { manifest, repository, repositoryStoreContract } from "../../core/repository/repository-store.contract.ts";
import { resource, resourceStoreContract } from "../../core/resource/resource-store.contract.ts";
import { migrations } from "./schema.ts";
import { SqliteStore } from "./sqlite-store.ts";

async function temporary(): Promise<{ root: string; path: string } & AsyncDisposable> {
	const root = await mkdtemp(join(tmpdir(), "slipway-store-"));
	return {
		root,
		path: join(root, "state.db"),
		[Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
	};
}

async function fixture() {
	const folder = await temporary();
	const sqlite = await SqliteStore.open({ path: folder.path });
	const dispose = async () => {
		await sqlite[Symbol.asyncDispose]();
		await folder[Symbol.asyncDispose]();
	};
	return { sqlite, [Symbol.asyncDispose]: dispose };
}

repositoryStoreContract("sqlite", async () => {
	const made = await fixture();
	return { store: made.sqlite.repositories, [Symbol.asyncDispose]: made[Symbol.asyncDispose] };
});
resourceStoreContract("sqlite", async () => {
	const made = await fixture();
	return { store: made.sqlite.resources, [Symbol.asyncDispose]: made[Symbol.asyncDispose] };
});
idempotencyStoreContract("sqlite", async () => {
	const made = await fixture();
	return { store: made.sqlite.idempotency, [Symbol.asyncDispose]: made[Symbol.asyncDispose] };
});
functionStoreContract("sqlite", async () => {
	const made = await fixture();
	return { store: made.sqlite.functions, [Symbol.asyncDispose]: made[Symbol.asyncDispose] };
});

function refused(code: ErrorCode, reason?: string): (error: unknown) => boolean {
	return (error) => {
		assert.ok(isSlipwayError(error), `${error} is not a SlipwayError`);
		assert.deepEqual([error.code, error.reason], [code, reason]);
		return true;
	};
}

describe("SqliteStore", () => {
	it("keeps everything over a restart, readable by its owner only", async () => {
		await using folder = await temporary();
		{
			await using store = await SqliteStore.open({ path: folder.path });
			await store.repositories.createRepository(repository("a"));
			await store.repositories.putManifest("a", manifest("m"), "t");
			await store.functions.put(functionRecord("f"));
			assert.equal((await stat(folder.path)).mode & 0o777, 0o600);
			assert.equal((await stat(`${folder.path}-wal`)).mode & 0o777, 0o600);
		}
		await using store = await SqliteStore.open({ path: folder.path });
		assert.equal((await store.repositories.listTags("a", { limit: 1 }))[0]?.tag, "t");
		assert.equal((await store.functions.list())[0]?.name, "f");
	});

	it("finishes the calls under way when disposed, then refuses; disposing twice is fine", async () => {
		await using folder = await temporary();
		const store = await SqliteStore.open({ path: folder.path });
		const puts = Array.from({ length: 1000 }, (_, i) => store.functions.put(functionRecord(`f${i}`)));
		await Promise.all([store[Symbol.asyncDispose](), ...puts]);
		await store[Symbol.asyncDispose]();
		await assert.rejects(store.functions.list(), refused("UNAVAILABLE"));
	});

	it("loses nothing acknowledged when the process is killed", async () => {
		await using folder = await temporary();
		const script = `
			import { SqliteStore } from ${JSON.stringify(new URL("./sqlite-store.ts", import.meta.url).href)};
			const store = await SqliteStore.open({ path: ${JSON.stringify(folder.path)} });
			for (let i = 0; ; i++) {
				await store.repositories.createRepository({ name: "r" + i, createdMs: 0, tagMutability: "MUTABLE", tags: {} });
				process.stdout.write(i + "\\n");
				if (i === 50) process.kill(process.pid, "SIGKILL");
			}`;
		const file = join(folder.root, "writer.mjs");
		await writeFile(file, script);
		const killed = spawnSync(process.execPath, [file], { encoding: "utf8" });
		assert.equal(killed.signal, "SIGKILL", killed.stderr);
		const acknowledged = killed.stdout.trim().split("\n").length;
		assert.equal(acknowledged, 51);
		await using store = await SqliteStore.open({ path: folder.path });
		assert.ok((await store.repositories.listRepositories({ limit: 1000 })).length >= acknowledged);
	});

	it("publishes a record and its version together or not at all, wherever the process is killed", async () => {
		let published = 0;
		for (const [round, ms] of [10, 25, 60].entries()) {
			await using folder = await temporary();
			const [store, contract] = ["./sqlite-store.ts", "../../core/function/function-store.contract.ts"].map((path) =>
				JSON.stringify(new URL(path, import.meta.url).href),
			);
			const script = `
				import { SqliteStore } from ${store};
				import { functionRecord, functionVersion } from ${contract};
				const store = await SqliteStore.open({ path: ${JSON.stringify(folder.path)} });
				await store.functions.put(functionRecord("f"));
				setTimeout(() => process.kill(process.pid, "SIGKILL"), ${ms});
				for (let i = 1; ; i++) {
					const both = store.functions.put(functionRecord("f", { nextVersion: i + 1 }), functionVersion("f", String(i)));
					if (i % 3 === 0) store.functions.deleteVersion(functionRecord("f", { nextVersion: i + 1, tags: { deleted: String(i) } }), String(i));
					await both;
				}`;
			const file = join(folder.root, "writer.mjs");
			await writeFile(file, script);
			const killed = spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", file], { encoding: "utf8" });
			assert.equal(killed.signal, "SIGKILL", killed.stderr);
			await using reopened = await SqliteStore.open({ path: folder.path });
			const [record] = await reopened.functions.list();
			const numbers = (await reopened.functions.listVersions()).map(({ version }) => Number(version));
			const last = (record?.nextVersion ?? 0) - 1;
			const deleted = (i: number) => i % 3 === 0 && (i < last || record?.tags.deleted === String(i));
			const expected = Array.from({ length: last }, (_, i) => i + 1).filter((i) => !deleted(i));
			assert.deepEqual(numbers, expected, `round ${round}`);
			published += last;
		}
		assert.ok(published > 3, "the kills came in the middle of the work");
	});

	it("opens what the first release wrote: functions without versions, aliases or anything else", async () => {
		await using folder = await temporary();
		const first = new DatabaseSync(folder.path);
		first.exec(migrations[0] ?? "");
		first.exec("PRAGMA user_version = 1");
		const { name, arn, revisionId, lastModifiedMs, createdMs, configuration, code, state, lastUpdate, tags } =
			functionRecord("old", { tags: { kept: "yes" } });
		const record = { name, arn, revisionId, lastModifiedMs, createdMs, configuration, code, state, lastUpdate, tags };
		first.prepare("INSERT INTO function (name, record) VALUES (?, ?)").run(name, JSON.stringify(record));
		first.close();
		await using store = await SqliteStore.open({ path: folder.path });
		const [opened] = await store.functions.list();
		const whole = functionRecord("old", { tags: { kept: "yes" } });
		assert.deepEqual(JSON.parse(JSON.stringify(opened)), JSON.parse(JSON.stringify(whole)));
		await store.functions.put({ ...whole, nextVersion: 2 }, functionVersion("old", "1"));
		assert.equal((await store.functions.listVersions()).length, 1);
	});

	it("opens what a release without resources wrote, and keeps resources over a restart", async () => {
		await using folder = await temporary();
		const older = new DatabaseSync(folder.path);
		for (const step of migrations.slice(0, 2)) older.exec(step);
		older.exec("PRAGMA user_version = 2");
		older.prepare("INSERT INTO function (name, record) VALUES (?, ?)").run("f", JSON.stringify(functionRecord("f")));
		older.close();
		{
			await using store = await SqliteStore.open({ path: folder.path });
			assert.equal((await store.functions.list())[0]?.name, "f");
			await store.resources.commit([{ change: "put", ...resource("a") }]);
		}
		await using store = await SqliteStore.open({ path: folder.path });
		assert.deepEqual(await store.resources.list("service"), [resource("a")]);
	});

	it("commits the changes of resources together or not at all, wherever the process is killed", async () => {
		let last = 0;
		for (const ms of [10, 30]) {
			await using folder = await temporary();
			const script = `
				import { SqliteStore } from ${JSON.stringify(new URL("./sqlite-store.ts", import.meta.url).href)};
				const store = await SqliteStore.open({ path: ${JSON.stringify(folder.path)} });
				const put = (name, document) => ({ change: "put", kind: "service", namespace: "", name, document });
				setTimeout(() => process.kill(process.pid, "SIGKILL"), ${ms});
				for (let i = 1; ; i++) {
					await store.resources.commit([put("a", i), put("n" + i, i), { change: "delete", kind: "service", namespace: "", name: "n" + (i - 1) }]);
					process.stdout.write(i + "\\n");
				}`;
			const file = join(folder.root, "writer.mjs");
			await writeFile(file, script);
			const killed = spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", file], { encoding: "utf8" });
			assert.equal(killed.signal, "SIGKILL", killed.stderr);
			const acknowledged = Number(killed.stdout.trim().split("\n").at(-1));
			await using reopened = await SqliteStore.open({ path: folder.path });
			const found = await reopened.resources.list("service");
			const number = (found[0]?.document as number | undefined) ?? 0;
			assert.ok(number >= acknowledged);
			const expected = number === 0 ? [] : ["a", `n${number}`];
			assert.deepEqual(
				found.map((one) => one.name),
				expected,
			);
			last += number;
		}
		assert.ok(last > 3, "the kills came in the middle of the work");
	});

	it("shares commits between concurrent writes, each failing alone, without blocking the event loop", async (t) => {
		await using made = await fixture();
		const { repositories } = made.sqlite;
		await repositories.createRepository(repository("taken"));
		const names = Array.from({ length: 2000 }, (_, i) => (i % 10 === 0 ? "taken" : `r${i}`));
		const settled: PromiseSettledResult<void>[] = [];
		const ms = await longestTurn(async () => {
			for (let from = 0; from < names.length; from += 100) {
				const some = names.slice(from, from + 100).map((name) => repositories.createRepository(repository(name)));
				settled.push(...(await Promise.allSettled(some)));
			}
		});
		for (const [i, one] of settled.entries())
			assert.equal(one.status, names[i] === "taken" ? "rejected" : "fulfilled", `${names[i]}`);
		assert.equal((await repositories.listRepositories({ limit: 10_000 })).length, 1801);
		t.diagnostic(`longest turn ${ms.toFixed(1)} ms`);
		assert.ok(ms < 10, `a turn of the event loop took ${ms.toFixed(1)} ms`);
	});

	it("bounds the calls under way", async () => {
		await using made = await fixture();
		const settled = await Promise.allSettled(
			Array.from({ length: 10_001 }, () => made.sqlite.repositories.getRepository("a")),
		);
		assert.equal(settled.filter((one) => one.status === "rejected").length, 1);
		assert.equal(await made.sqlite.repositories.getRepository("a"), undefined);
	});

	it("lists 1,000 functions in one call, which takes no longer than a call for each would", async (t) => {
		await using made = await fixture();
		const { functions, repositories } = made.sqlite;
		await Promise.all(Array.from({ length: 1000 }, (_, i) => functions.put(functionRecord(`f${i}`))));
		const timed = async (work: () => Promise<unknown>) => {
			const began = performance.now();
			await work();
			return performance.now() - began;
		};
		const eachMs = await timed(async () => {
			for (let i = 0; i < 1000; i++) await repositories.getRepository("a");
		});
		const listMs = await timed(async () => assert.equal((await functions.list()).length, 1000));
		t.diagnostic(`1,000 functions in ${listMs.toFixed(1)} ms, as many calls in ${eachMs.toFixed(1)} ms`);
		assert.ok(listMs < 5 * eachMs, `took ${listMs} ms`);
	});
});

describe("SqliteStore: files it should not use", () => {
	it("says so of a file that is no database", async () => {
		await using folder = await temporary();
		await writeFile(folder.path, "This is not a database, it is a letter. ".repeat(100));
		await assert.rejects(SqliteStore.open({ path: folder.path }), refused("UNAVAILABLE", "StoreCorrupt"));
	});

	it("says so of a database with damaged pages", async () => {
		await using folder = await temporary();
		{
			await using store = await SqliteStore.open({ path: folder.path });
			await Promise.all(Array.from({ length: 200 }, (_, i) => store.functions.put(functionRecord(`f${i}`))));
		}
		const bytes = await readFile(folder.path);
		await writeFile(folder.path, Buffer.concat([bytes.subarray(0, 4096), Buffer.alloc(bytes.length - 4096, 0xa5)]));
		const use = async () => {
			await using store = await SqliteStore.open({ path: folder.path });
			await store.functions.list();
		};
		await assert.rejects(use(), refused("UNAVAILABLE", "StoreCorrupt"));
	});

	it("refuses a newer schema and leaves it alone", async () => {
		await using folder = await temporary();
		const newer = new DatabaseSync(folder.path);
		newer.exec("PRAGMA user_version = 999");
		newer.close();
		await assert.rejects(SqliteStore.open({ path: folder.path }), refused("UNSUPPORTED", "StoreTooNew"));
		const again = new DatabaseSync(folder.path);
		assert.equal(again.prepare("PRAGMA user_version").get()?.user_version, 999);
		again.close();
	});

	it("refuses a file that another one has open, and one that can't be made", async () => {
		await using folder = await temporary();
		await using _first = await SqliteStore.open({ path: folder.path });
		await assert.rejects(SqliteStore.open({ path: folder.path }), refused("CONFLICT"));
		await assert.rejects(SqliteStore.open({ path: join(folder.root, "none", "state.db") }), refused("UNAVAILABLE"));
	});
});

const isRoot = process.getuid?.() === 0;
describe("SqliteStore on a full disk", { skip: isRoot ? false : "needs root to mount a small tmpfs" }, () => {
	it("is EXHAUSTED, keeps what it had, and works on when there is room again", async () => {
		await using folder = await temporary();
		execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder.root]);
		try {
			await using store = await SqliteStore.open({ path: folder.path });
			await store.functions.put(functionRecord("small"));
			const big = (name: string) => store.functions.put(functionRecord(name, { tags: { big: "x".repeat(400_000) } }));
			const settled = await Promise.allSettled(["a", "b", "c", "d"].map(big));
			const failed = settled.filter((one) => one.status === "rejected");
			assert.ok(failed.length > 0);
			for (const one of failed) refused("EXHAUSTED", "DiskFull")(one.reason);
			const kept = settled.length - failed.length;
			assert.equal((await store.functions.list()).length, 1 + kept);
			execFileSync("mount", ["-o", "remount,size=16m", folder.root]);
			await big("e");
			assert.equal((await store.functions.list()).length, 2 + kept);
		} finally {
			execFileSync("umount", [folder.root]);
		}
	});
});
