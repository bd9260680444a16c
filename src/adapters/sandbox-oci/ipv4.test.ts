import assert from "node:assert/strict";
import { test } from "node:test";
import { formatRange, overlap, parseRange } from "./ipv4.ts";

test("ranges are read, written and compared", () => {
	assert.equal(formatRange(parseRange("10.213.7.9/16")!), "10.213.0.0/16");
	assert.equal(formatRange(parseRange("255.255.255.255")!), "255.255.255.255/32");
	assert.equal(formatRange(parseRange("0.0.0.0/0")!), "0.0.0.0/0");
	for (const text of ["default", "10.0.0.256/8", "10.0.0.0/33", "10.0.0", "::1", ""])
		assert.equal(parseRange(text), undefined, text);
	const overlaps = (a: string, b: string) => overlap(parseRange(a)!, parseRange(b)!);
	assert.ok(overlaps("10.0.0.0/8", "10.213.0.0/16"));
	assert.ok(overlaps("10.213.4.0/30", "10.213.0.0/16"));
	assert.ok(!overlaps("10.212.0.0/16", "10.213.0.0/16"));
	assert.ok(!overlaps("192.168.0.0/16", "172.29.0.0/16"));
});
