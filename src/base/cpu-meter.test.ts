import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ProcCpuMeter } from "./cpu-meter.ts";

test("the machine's own idle time never goes back", { skip: process.platform !== "linux" }, () => {
	using meter = new ProcCpuMeter();
	const before = meter.idleMs() ?? -1;
	assert.ok(before > 0);
	assert.ok((meter.idleMs() ?? -1) >= before);
});

test("each reading is a new one; what is no number is not known", (t) => {
	const folder = mkdtempSync(join(tmpdir(), "cpu-meter-"));
	t.after(() => rmSync(folder, { recursive: true }));
	const path = join(folder, "uptime");
	writeFileSync(path, "10.00 12.50\n");
	using meter = new ProcCpuMeter(path);
	assert.equal(meter.idleMs(), 12_500);
	writeFileSync(path, "10.20 12.83\n");
	assert.equal(meter.idleMs(), 12_830);
	writeFileSync(path, "10.20\n");
	assert.equal(meter.idleMs(), undefined);
});
