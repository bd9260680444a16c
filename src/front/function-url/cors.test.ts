import assert from "node:assert/strict";
import { test } from "node:test";
import { withCorsHeaders } from "./cors.ts";

const cors = { allowOrigins: ["https://a.example"] };
const own = new Map([
	["vary", ["Accept-Encoding"]],
	["access-control-allow-origin", ["*"]],
	["x-own", ["1"]],
]);

test("The configuration decides who may read, whatever the function says", () => {
	const allowed = withCorsHeaders(own, cors, { origin: "https://a.example" });
	assert.deepEqual(allowed.get("access-control-allow-origin"), ["https://a.example"]);
	const refused = withCorsHeaders(own, cors, { origin: "https://b.example" });
	assert.equal(refused.get("access-control-allow-origin"), undefined);
	assert.deepEqual(refused.get("x-own"), ["1"]);
});

test("What the function's answer depends on stays in Vary beside Origin", () => {
	assert.deepEqual(withCorsHeaders(own, cors, {}).get("vary"), ["Accept-Encoding", "Origin"]);
	assert.deepEqual(withCorsHeaders(new Map(), cors, {}).get("vary"), ["Origin"]);
});
