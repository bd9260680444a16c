import assert from "node:assert/strict";
import { test } from "node:test";
import { knownVulnerabilities } from "./known-vulnerabilities.ts";

const open = (...args: Parameters<typeof knownVulnerabilities>) =>
	knownVulnerabilities(...args).open.map(({ cve }) => cve);
const of2025 = ["CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"];

test("runc by release series", () => {
	assert.deepEqual(open("runc", "1.1.11"), ["CVE-2024-21626", ...of2025]);
	assert.deepEqual(open("runc", "1.1.12"), of2025);
	assert.deepEqual(open("runc", "1.2.7"), of2025);
	assert.deepEqual(open("runc", "1.2.8"), []);
	assert.deepEqual(open("runc", "1.3.2"), of2025);
	assert.deepEqual(open("runc", "1.3.3"), []);
	assert.deepEqual(open("runc", "1.4.0-rc.2"), of2025);
	assert.deepEqual(open("runc", "1.4.0"), []);
	assert.deepEqual(open("runc", "2.0.0"), []);
	assert.ok(open("runc", "1.0.0-rc6").includes("CVE-2019-5736"));
});

test("crun by version", () => {
	assert.deepEqual(open("crun", "0.10.4"), ["CVE-2019-18837", "CVE-2022-27650"]);
	assert.deepEqual(open("crun", "1.4.3"), ["CVE-2022-27650"]);
	assert.deepEqual(open("crun", "1.4.4"), []);
	assert.deepEqual(open("crun", "1.8.1"), []);
});

test("a distribution's own fixes count, and only those its changelog names", () => {
	assert.deepEqual(open("runc", "1.1.5+ds1", "  * CVE-2024-21626: several container breakouts"), of2025);
	assert.deepEqual(open("runc", "1.1.5+ds1", `fixes CVE-2024-21626 ${of2025.join(" ")}`), []);
});

test("an unreadable version is taken for the oldest", () => {
	assert.ok(open("runc", "unknown").includes("CVE-2019-5736"));
});

test("what is closed by the way sandboxes are made is named, not refused", () => {
	const { closedHere } = knownVulnerabilities("runc", "1.3.5");
	assert.deepEqual(
		closedHere.map(({ cve }) => cve),
		["CVE-2026-41579"],
	);
	assert.ok(closedHere.every((entry) => entry.closedHere));
	assert.deepEqual(knownVulnerabilities("runc", "1.3.6").closedHere, []);
});
