import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import {
	attributesMd5,
	attributesSize,
	checkAttributes,
	chosenAttributes,
	isSendableText,
	type MessageAttribute,
	type MessageAttributes,
	md5,
} from "./message-attributes.ts";

const text = (stringValue: string, dataType = "String"): MessageAttribute => ({ dataType, stringValue });

describe("Digests", () => {
	it("are those that SQS answers", () => {
		// Known answers that moto and other servers test with as well.
		const value = "1493147359900";
		const timestamp = { timestamp: text(value, "Number.java.lang.Long") };
		assert.equal(attributesMd5(timestamp), "2e2e4876d8e0bd6b8c2c8f556831c349");
		const named = { "SOME_Valid.attribute-Name": text(value, "Number") };
		assert.equal(attributesMd5(named), "36655e7e9d7c0e8479fa3f3f42247ae7");
		// The documentation's example of MD5OfMessageBody.
		assert.equal(md5("This is a test message"), "fafb00f5732ab283681e124bf8747ed1");
	});

	it("depend on names, types and values, and not on their order", () => {
		const one = { a: text("1"), b: text("2") };
		assert.equal(attributesMd5(one), attributesMd5({ b: text("2"), a: text("1") }));
		const others: MessageAttributes[] = [
			{ a: text("2"), b: text("1") },
			{ a: text("1", "String.x"), b: text("2") },
			{ a: text("1") },
			{ ab: text("1"), b: text("2") },
			{ a: { dataType: "Binary", binaryValue: Buffer.from("1") }, b: text("2") },
		];
		const digests = new Set([one, ...others].map((attributes) => attributesMd5(attributes)));
		assert.equal(digests.size, others.length + 1);
		assert.equal(attributesMd5({}), undefined);
	});
});

describe("Attributes", () => {
	it("may have these names, types and values", () => {
		const good: MessageAttributes[] = [
			{ "a.b-c_9": text("x") },
			{ n: text("-12.5e10", "Number") },
			{ n: text(".5", "Number.float") },
			{ s: text("x", "String. any label / ü") },
			{ b: { dataType: "Binary.png", binaryValue: Buffer.of(0) } },
			Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`a${i}`, text("x")])),
			{},
		];
		for (const attributes of good) checkAttributes(attributes);
	});

	it("may not have others", () => {
		const bad: MessageAttributes[] = [
			Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`a${i}`, text("x")])),
			{ "": text("x") },
			{ "a b": text("x") },
			{ ".a": text("x") },
			{ "a.": text("x") },
			{ "a..b": text("x") },
			{ "AWS.x": text("x") },
			{ "amazon.x": text("x") },
			{ [`a`.repeat(257)]: text("x") },
			{ a: text("") },
			{ a: text("x", "") },
			{ a: text("x", "Text") },
			{ a: text("x", "Stringy") },
			{ a: text("x", "Number") },
			{ a: text("0x10", "Number") },
			{ a: text("", "Number") },
			{ a: text("x", "Binary") },
			{ a: text("\u0001") },
			{ a: { dataType: "String", binaryValue: Buffer.of(1) } },
			{ a: { dataType: "Binary", binaryValue: Buffer.alloc(0) } },
			{ a: { dataType: "String", stringValue: "x", binaryValue: Buffer.of(1) } },
			{ a: { dataType: "String" } },
		];
		for (const attributes of bad)
			assert.throws(
				() => checkAttributes(attributes),
				(error) => isSlipwayError(error) && error.reason === "InvalidParameterValue",
				JSON.stringify(attributes),
			);
	});

	it("count with name, type and value for a message's size", () => {
		const binary = { dataType: "Binary", binaryValue: Buffer.alloc(7) };
		assert.equal(attributesSize({ name: text("é"), b: binary }), 4 + 6 + 2 + 1 + 6 + 7);
	});

	it("are chosen by name, prefix, or all of them", () => {
		const attributes = { "a.x": text("1"), "a.y": text("2"), b: text("3") };
		const names = (...wanted: string[]) => Object.keys(chosenAttributes(attributes, wanted));
		assert.deepEqual(names(), []);
		assert.deepEqual(names("b", "none"), ["b"]);
		assert.deepEqual(names("a.*"), ["a.x", "a.y"]);
		assert.deepEqual(names("All"), ["a.x", "a.y", "b"]);
		assert.deepEqual(names("b", ".*"), ["a.x", "a.y", "b"]);
	});
});

describe("Bodies", () => {
	it("have characters of XML 1.0", () => {
		for (const good of ["", "\t\n\r ~", "\u007f\u0080\ud7ff\ue000\ufffd", "\u{10000}\u{10ffff}"])
			assert(isSendableText(good));
		for (const bad of ["\u0000", "\u0008", "\u000b", "\u001f", "\ufffe", "\uffff", "\ud800", "\udc00\ud800"])
			assert(!isSendableText(`a${bad}b`), JSON.stringify(bad));
	});
});
