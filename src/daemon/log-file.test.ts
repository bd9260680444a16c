import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { isSlipwayError } from "../base/error.ts";
import { LogFile } from "./log-file.ts";

function folder(context: TestContext): string {
	const path = mkdtempSync(join(tmpdir(), "slipway-log-"));
	context.after(() => rmSync(path, { recursive: true }));
	return path;
}

test("Rotates at its size, keeps three old files, newest lines last", (context) => {
	const home = folder(context);
	const path = join(home, "daemon.log");
	using log = new LogFile(path, 100);
	for (let index = 0; index < 100; index++) log.write(`line ${index}\n`);
	assert.deepEqual(readdirSync(home).sort(), ["daemon.log", "daemon.log.1", "daemon.log.2", "daemon.log.3"]);
	for (const file of readdirSync(home)) assert(statSync(join(home, file)).size <= 100, file);
	const kept = [3, 2, 1].map((index) => readFileSync(`${path}.${index}`, "utf8")).join("") + readFileSync(path, "utf8");
	assert.equal(kept.trimEnd().split("\n").at(-1), "line 99");
	assert.match(kept, /^line \d+\n/);
	assert.equal(
		kept.trimEnd().split("\n").length,
		100 - Number(/^line (\d+)/.exec(kept)?.[1]),
		"no gap in what is kept",
	);
});

test("Goes on in the file of the process before, and counts what that wrote", (context) => {
	const path = join(folder(context), "daemon.log");
	{
		using log = new LogFile(path, 20);
		log.write("before the end\n");
	}
	using log = new LogFile(path, 20);
	log.write("after it\n");
	assert.equal(readFileSync(`${path}.1`, "utf8"), "before the end\n");
	assert.equal(readFileSync(path, "utf8"), "after it\n");
});

test("A line longer than the file is written whole; a file that can't be written ends nothing and is counted", (context) => {
	const home = folder(context);
	const path = join(home, "daemon.log");
	using log = new LogFile(path, 10);
	log.write("much longer than ten bytes\n");
	assert.equal(readFileSync(path, "utf8"), "much longer than ten bytes\n");
	mkdirSync(`${path}.3/in-the-way`, { recursive: true });
	writeFileSync(`${path}.2`, "older");
	log.write("lost\n");
	log.write("lost too\n");
	rmSync(`${path}.3`, { recursive: true });
	log.write("back\n");
	assert.equal(readFileSync(path, "utf8"), '{"message":"Log lines were lost","lost":2}\nback\n');
});

test("/dev/full stands for a full disk", () => {
	using log = new LogFile("/dev/full", 1e6);
	log.write("x\n");
	assert.throws(
		() => new LogFile("/proc/nothing/here", 1),
		(error) => !isSlipwayError(error),
	);
});
