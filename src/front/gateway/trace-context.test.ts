import assert from "node:assert/strict";
import { test } from "node:test";
import { traceContext } from "./trace-context.ts";

const ids = { hex: (bytes: number) => "ab".repeat(bytes) };
const trace = "0af7651916cd43dd8448eb211c80319c";
const own = "ab".repeat(16);
const span = BigInt(`0x${"ab".repeat(8)}`);

const cases: [string, Record<string, string>, { traceparent: string; cloud: string }][] = [
	["nothing", {}, { traceparent: `00-${own}-${"ab".repeat(8)}-00`, cloud: `${own}/${span};o=0` }],
	[
		"traceparent",
		{ traceparent: `00-${trace}-b7ad6b7169203331-01`, tracestate: "a=1" },
		{ traceparent: `00-${trace}-b7ad6b7169203331-01`, cloud: `${trace}/13235353014750950193;o=1` },
	],
	[
		"Google's",
		{ "x-cloud-trace-context": `${trace}/255;o=1` },
		{ traceparent: `00-${trace}-00000000000000ff-01`, cloud: `${trace}/255;o=1` },
	],
	[
		"both, which differ",
		{ traceparent: `00-${trace}-b7ad6b7169203331-00`, "x-cloud-trace-context": `${"1".repeat(32)}/255;o=1` },
		{ traceparent: `00-${trace}-b7ad6b7169203331-00`, cloud: `${trace}/13235353014750950193;o=0` },
	],
	...[
		"",
		"x",
		`00-${"0".repeat(32)}-b7ad6b7169203331-01`,
		`ff-${trace}-b7ad6b7169203331-01`,
		`00-${trace}-b7ad6b7169203331-01-x`,
	].map((traceparent): (typeof cases)[number] => [
		`an invalid ${traceparent}`,
		{ traceparent },
		{ traceparent: `00-${own}-${"ab".repeat(8)}-00`, cloud: `${own}/${span};o=0` },
	]),
	[
		"a span that is no span",
		{ "x-cloud-trace-context": `${trace}/99999999999999999999` },
		{ traceparent: `00-${trace}-${"ab".repeat(8)}-00`, cloud: `${trace}/${span};o=0` },
	],
];
for (const [name, headers, expected] of cases)
	test(`Trace headers from ${name}`, () => {
		const { headers: made, traceId } = traceContext(headers, ids);
		assert.equal(made.traceparent, expected.traceparent);
		assert.equal(made["x-cloud-trace-context"], expected.cloud);
		assert.equal(traceId, expected.traceparent.split("-")[1]);
		// It goes on with the traceparent that it belongs to, and only then.
		assert.equal("tracestate" in made, expected.traceparent !== headers.traceparent);
	});

test("A client's request id goes on when it is one", () => {
	assert.equal(traceContext({ "x-request-id": "a-1.b" }, ids).requestId, "a-1.b");
	for (const bad of ["", "a b", "x".repeat(200), "a\u00e9"])
		assert.equal(traceContext({ "x-request-id": bad }, ids).requestId, "ab".repeat(16));
});
