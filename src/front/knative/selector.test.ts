import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseFieldSelector, parseLabelSelector } from "./selector.ts";

describe("Label selectors", () => {
	const cases: [selector: string, labels: Record<string, string>, selected: boolean][] = [
		["", {}, true],
		["a=1", { a: "1" }, true],
		["a==1", { a: "1" }, true],
		["a = 1 , b=2", { a: "1", b: "2" }, true],
		["a=1,b=2", { a: "1", b: "3" }, false],
		["a!=1", {}, true],
		["a!=1", { a: "1" }, false],
		["a", { a: "" }, true],
		["a", {}, false],
		["!a", {}, true],
		["! a", { a: "x" }, false],
		["a=", { a: "" }, true],
		["a=", {}, false],
		["a in (x, y)", { a: "y" }, true],
		["a in (x,y)", { a: "z" }, false],
		["a in (x,y)", {}, false],
		["a notin (x)", {}, true],
		["a notin (x)", { a: "x" }, false],
		["a notin (x),b in (1,2),c", { a: "z", b: "2", c: "" }, true],
		["n > 5", { n: "6" }, true],
		["n>5", { n: "5" }, false],
		["n<5", { n: "x" }, false],
		["n<-1", { n: "-2" }, true],
		["serving.knative.dev/service=hello", { "serving.knative.dev/service": "hello" }, true],
		["in in (in)", { in: "in" }, true],
	];
	for (const [selector, labels, selected] of cases)
		it(`${JSON.stringify(selector)} ${selected ? "selects" : "does not select"} ${JSON.stringify(labels)}`, () => {
			assert.equal(parseLabelSelector(selector)(labels), selected);
		});
	for (const wrong of ["a in x", "a in (x", ",", "a,", "=1", "a=1 b=2", "a > b", "a=%", "(a)", "!"])
		it(`${JSON.stringify(wrong)} is refused`, () => {
			assert.throws(() => parseLabelSelector(wrong), { code: 400, reason: "BadRequest" });
		});
});

describe("Field selectors", () => {
	it("select by name and namespace", () => {
		const { select, name } = parseFieldSelector("metadata.name=a,metadata.namespace!=b");
		assert.equal(name, "a");
		assert.equal(select({ "metadata.name": "a", "metadata.namespace": "c" }), true);
		assert.equal(select({ "metadata.name": "a", "metadata.namespace": "b" }), false);
	});
	it("refuse other fields and what is no selector", () => {
		assert.throws(() => parseFieldSelector("status.phase=Running"), {
			message: "field label not supported: status.phase",
		});
		assert.throws(() => parseFieldSelector("metadata.name"), { code: 400 });
	});
});
