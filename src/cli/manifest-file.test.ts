import assert from "node:assert/strict";
import { test } from "node:test";
import { SlipwayError } from "../base/error.ts";
import { parseManifests, readManifestStream, segmentsOf, withPlaces } from "./manifest-file.ts";

const two = `# first
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: hello
  annotations:
    slipway.dev/rollback-window: 1s
spec:
  template:
    spec:
      containers:
      - image: hello:1
        ports:
        - containerPort: 99999
---
---
{"kind": "Job", "metadata": {"name": "x"}}
`;

test("Several documents, YAML or JSON; empty ones are none", () => {
	const documents = parseManifests(two, "a.yaml");
	assert.deepEqual(
		documents.map(({ manifest }) => manifest.kind),
		["Service", "Job"],
	);
	assert.equal(documents[1]?.locate(["kind"]), "a.yaml:17");
});

test("What the daemon refuses is shown with file, line and field", () => {
	const [document] = parseManifests(two, "a.yaml");
	const message =
		"validation failed: expected 1 <= 99999 <= 65535: spec.template.spec.containers[0].ports[0].containerPort\n" +
		"invalid value: 1s: metadata.annotations.slipway.dev/rollback-window\nmust be a duration from 10s to 24h\n" +
		"missing field(s): spec.template.spec.containers[0].name, spec.traffic";
	const error = withPlaces(new SlipwayError("INVALID", message, { reason: "Invalid" }), document!) as SlipwayError;
	assert.equal(error.reason, "Invalid");
	assert.deepEqual(error.message.split("\n").slice(4), [
		"a.yaml:14: spec.template.spec.containers[0].ports[0].containerPort",
		"a.yaml:7: metadata.annotations.slipway.dev/rollback-window",
		"a.yaml:12: spec.template.spec.containers[0].name",
		"a.yaml:9: spec.traffic",
	]);
	const other = new SlipwayError("NOT_FOUND", "no spec.x");
	assert.equal(withPlaces(other, document!), other);
	const placeless = withPlaces(new SlipwayError("INVALID", "It is wrong"), document!) as SlipwayError;
	assert.equal(placeless.message, "a.yaml:2: It is wrong");
});

const malformed: [string, string, RegExp][] = [
	["nothing", "", /holds no manifest|is empty/],
	["comments only", "# nothing\n", /holds no manifest|is empty/],
	["a list", "- a\n", /^m\.yaml:1: a manifest must be an object/],
	["broken YAML", "a: [1\nb: 2\n", /^m\.yaml:2:1: /],
	["a tab", "a:\n\tb: 1\n", /^m\.yaml:2:/],
	["a key twice", "a: 1\nb: 2\na: 3\n", /^m\.yaml:3:1: .*unique/i],
	[
		"a bomb",
		`a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [${"*a,".repeat(30)}]\nc: &c [${"*b,".repeat(30)}]\nd: [${"*c,".repeat(30)}]\n`,
		/alias/i,
	],
];

for (const [what, text, message] of malformed)
	test(`Refused: ${what}`, () => {
		assert.throws(() => parseManifests(text, "m.yaml"), { message, code: "INVALID" });
	});

test("Paths of fields", () => {
	assert.deepEqual(segmentsOf("spec.containers[2].image"), ["spec", "containers", 2, "image"]);
	assert.deepEqual(segmentsOf("metadata.annotations[a.b/c]"), ["metadata", "annotations", "a.b/c"]);
	assert.deepEqual(segmentsOf("metadata.annotations.a.b/c"), ["metadata", "annotations", "a.b/c"]);
});

test("Standard input is read up to its bound, and must be text", async () => {
	async function* parts(part: Uint8Array, count: number) {
		for (let i = 0; i < count; i++) yield part;
	}
	assert.equal(await readManifestStream(parts(Buffer.from("a: b\n"), 2)), "a: b\na: b\n");
	await assert.rejects(readManifestStream(parts(Buffer.alloc(1024 * 1024, 0x61), 1000)), {
		code: "TOO_LARGE",
		message: /more than 4194304 bytes/,
	});
	await assert.rejects(readManifestStream(parts(Buffer.from([0xff]), 1)), { code: "INVALID" });
});
