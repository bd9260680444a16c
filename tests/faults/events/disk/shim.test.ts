/** The layer under the daemon's disk must catch a database that promises what the disk does not have; else the fault run proves nothing. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { seeded } from "../seeded.ts";
import { DiskShim } from "./shim.ts";

/** Inserts numbers, one a commit, and says each that it was told is there. */
const writerOf = (path: string, synchronous: string) => `
	const { DatabaseSync } = require("node:sqlite");
	const { writeSync } = require("node:fs");
	const db = new DatabaseSync(${JSON.stringify(path)});
	db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE numbers (n INTEGER PRIMARY KEY)");
	db.exec("PRAGMA synchronous = ${synchronous}");
	const insert = db.prepare("INSERT INTO numbers VALUES (?)");
	for (let n = 1; ; n++) {
		try { insert.run(n); } catch (error) { writeSync(1, "failed " + n + "\\n"); continue; }
		writeSync(1, "done " + n + "\\n");
	}`;

interface Outcome {
	acknowledged: number[];
	failed: number;
	found: Set<number>;
	unsyncedPages: number;
}

interface Blow {
	synchronous: string;
	/** Commits that are awaited before the kill. */
	commits: number;
	failingSyncs?: number;
	torn?: boolean;
}

async function strike({ synchronous, commits, failingSyncs = 0, torn = false }: Blow): Promise<Outcome> {
	const folder = await mkdtemp(join(tmpdir(), "slipway-shim-"));
	try {
		const home = join(folder, "home");
		await mkdir(home);
		const path = join(home, "events.db");
		const shim = await DiskShim.build(join(folder, "shim"), home);
		const child = spawn(process.execPath, ["-e", writerOf(path, synchronous)], {
			env: { ...process.env, ...shim.env },
			stdio: ["ignore", "pipe", "inherit"],
		});
		let said = "";
		child.stdout.setEncoding("utf8").on("data", (text: string) => {
			said += text;
			const lines = said.split("\n").length;
			if (lines > commits / 2 && failingSyncs > 0) void shim.failSyncs(failingSyncs);
			if (lines > commits / 2) failingSyncs = 0;
			if (lines > commits) child.kill("SIGKILL");
		});
		await once(child, "close");
		const unsyncedPages = torn ? await shim.tear(seeded(1)) : await shim.loseUnsynced(seeded(1));
		const lines = said.split("\n").slice(0, -1);
		using db = new DatabaseSync(path);
		return {
			acknowledged: lines.filter((line) => line.startsWith("done")).map((line) => Number(line.slice(5))),
			failed: lines.filter((line) => line.startsWith("failed")).length,
			found: new Set(
				db
					.prepare("SELECT n FROM numbers")
					.all()
					.map(({ n }) => Number(n)),
			),
			unsyncedPages,
		};
	} finally {
		await rm(folder, { recursive: true });
	}
}

function lost({ acknowledged, found }: Outcome): number {
	return acknowledged.filter((n) => !found.has(n)).length;
}

describe("the disk under a fault run", { skip: existsSync("/usr/bin/gcc") ? false : "needs gcc" }, () => {
	it("loses what a database acknowledged without a sync", async (t) => {
		for (const torn of [false, true]) {
			const outcome = await strike({ synchronous: "OFF", commits: 400, torn });
			t.diagnostic(`${lost(outcome)} of ${outcome.acknowledged.length} lost`);
			assert.ok(outcome.unsyncedPages > 0);
			assert.ok(lost(outcome) > 0);
		}
	});

	it("loses nothing of one that syncs first, loss of power, torn write or not", async () => {
		for (const torn of [false, true]) {
			const outcome = await strike({ synchronous: "FULL", commits: 200, torn });
			assert.ok(outcome.acknowledged.length > 150);
			assert.equal(lost(outcome), 0);
		}
	});

	it("fails as many syncs as it is told, and the database says so", async () => {
		const outcome = await strike({ synchronous: "FULL", commits: 200, failingSyncs: 3 });
		assert.equal(outcome.failed, 3);
		assert.equal(lost(outcome), 0);
	});
});
