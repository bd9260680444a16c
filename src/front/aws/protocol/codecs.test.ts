import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NormalizedSchema } from "@smithy/core/schema";
import type { StaticSchema } from "@smithy/types";
import { CodecError } from "./codec-error.ts";
import { readHttp, writeHttp } from "./http-binding.ts";
import { readJson, writeJson } from "./json.ts";
import { jsonDocument } from "./json-document.ts";
import { readQuery } from "./query-form.ts";
import { writeXmlMembers } from "./xml.ts";

// Schemas as the SDK packages publish them: 0 string, 1 number, 2 boolean, 4 timestamp, 21 blob, 64 list of, 128 map of.
const item: StaticSchema = [3, "n", "Item", 0, ["Key", "Value"], [0, 0]];
const whole: StaticSchema = [
	3,
	"n",
	"Whole",
	0,
	["Text", "Count", "On", "At", "Bytes", "Names", "Items", "Labels", "Renamed"],
	[0, 1, 2, 4, 21, 64, [1, "n", "Items", 0, () => item], 128, [0, { jsonName: "renamed", xmlName: "Other" }]],
];
const schema = NormalizedSchema.of(whole);
const value = {
	Text: 'a "<&',
	Count: 1.5,
	On: false,
	At: new Date(1_700_000_000_500),
	Bytes: Buffer.from("hi"),
	Names: ["x", ""],
	Items: [{ Key: "k", Value: "v" }],
	Labels: Object.fromEntries([
		["__proto__", "p"],
		["b", "c"],
	]),
	Renamed: "r",
};

describe("JSON by schema", () => {
	const json = {
		Text: 'a "<&',
		Count: 1.5,
		On: false,
		At: 1_700_000_000.5,
		Bytes: "aGk=",
		Names: ["x", ""],
		Items: [{ Key: "k", Value: "v" }],
		Labels: value.Labels,
		renamed: "r",
	};
	it("writes and reads the same value", () => {
		assert.deepEqual(writeJson(schema, value), json);
		assert.deepEqual(readJson(schema, JSON.parse(JSON.stringify(json))), value);
		assert.equal(
			Object.getPrototypeOf((readJson(schema, JSON.parse(JSON.stringify(json))) as typeof value).Labels),
			Object.prototype,
		);
	});
	it("leaves out what is null or unknown", () =>
		assert.deepEqual(readJson(schema, { Text: null, Nothing: 1, __proto__: 1, Names: [] }), { Names: [] }));
	it("refuses wrong types, and says where", () => {
		for (const [input, where] of [
			[{ Text: 1 }, "Text"],
			[{ Count: "1" }, "Count"],
			[{ On: 0 }, "On"],
			[{ At: "never" }, "At"],
			[{ At: [] }, "At"],
			[{ Bytes: "?" }, "Bytes"],
			[{ Names: "x" }, "Names"],
			[{ Names: [1] }, "Names[0]"],
			[{ Items: [{ Key: {} }] }, "Items[0].Key"],
			[{ Labels: { a: 1 } }, "Labels.a"],
			[[], ""],
			["x", ""],
		] as const)
			assert.throws(
				() => readJson(schema, input),
				(error: CodecError) => error instanceof CodecError && error.where === where,
			);
	});
	it("refuses recursion without end", () => {
		const tree: StaticSchema = [3, "n", "Tree", 0, ["Child"], [() => tree]];
		let deep: unknown = {};
		for (let i = 0; i < 10_000; i++) deep = { Child: deep };
		assert.throws(() => readJson(NormalizedSchema.of(tree), deep), /nested too deeply/);
	});
});

describe("query forms and XML by schema", () => {
	it("reads lists, structures, maps and scalars", () => {
		const form =
			"Text=a&Count=2&On=true&At=2023-11-14T22:13:20Z&Bytes=aGk%3D&Names.member.1=x&Names.member.2=y&Items.member.1.Key=k&Labels.entry.1.key=a&Labels.entry.1.value=b&Other=r&Unknown=1";
		assert.deepEqual(readQuery(schema, new Map(new URLSearchParams(form))), {
			Text: "a",
			Count: 2,
			On: true,
			At: new Date(1_700_000_000_000),
			Bytes: Buffer.from("hi"),
			Names: ["x", "y"],
			Items: [{ Key: "k" }],
			Labels: { a: "b" },
			Renamed: "r",
		});
	});
	it("refuses wrong scalars and lists without end", () => {
		for (const form of ["Count=x", "Count=", "On=yes", "At=x", "Bytes=%3F"])
			assert.throws(() => readQuery(schema, new Map(new URLSearchParams(form))), CodecError, form);
		const many = new Map(Array.from({ length: 1001 }, (_, i) => [`Names.member.${i + 1}`, "x"] as const));
		assert.throws(() => readQuery(schema, many), /more than 1000 items/);
	});
	it("writes XML, escaped", () => {
		assert.equal(
			writeXmlMembers(schema, { ...value, Text: 'a "<&\u0000' }),
			"<Text>a &quot;&lt;&amp;\ufffd</Text><Count>1.5</Count><On>false</On><At>2023-11-14T22:13:20.500Z</At><Bytes>aGk=</Bytes>" +
				"<Names><member>x</member><member/></Names><Items><member><Key>k</Key><Value>v</Value></member></Items>" +
				"<Labels><entry><key>__proto__</key><value>p</value></entry><entry><key>b</key><value>c</value></entry></Labels><Other>r</Other>",
		);
	});
});

describe("HTTP bindings", () => {
	const bound = NormalizedSchema.of([
		3,
		"n",
		"Bound",
		0,
		["Name", "Page", "Keys", "When", "Meta", "Code", "Body"],
		[
			[0, 1],
			[1, { httpQuery: "page" }],
			[64, { httpQuery: "keys" }],
			[4, { httpHeader: "X-When" }],
			[128, { httpPrefixHeaders: "x-meta-" }],
			[1, 32],
			0,
		],
	] satisfies StaticSchema);
	const codec = jsonDocument("application/json");

	it("reads each part from its place, and nothing from elsewhere", () => {
		const request = {
			labels: { Name: "n" },
			query: "page=2&keys=a&keys=b%20c",
			headers: { "x-when": "Tue, 14 Nov 2023 22:13:20 GMT", "x-meta-a": "1", other: "2" },
			body: Buffer.from('{"Body":"b","Name":"other","Page":9}'),
		};
		assert.deepEqual(readHttp(bound, request, codec), {
			Name: "n",
			Page: 2,
			Keys: ["a", "b c"],
			When: new Date(1_700_000_000_000),
			Meta: { a: "1" },
			Body: "b",
		});
		assert.throws(() => readHttp(bound, { ...request, query: "page=x" }, codec), CodecError);
		assert.throws(() => readHttp(bound, { ...request, headers: { "x-when": "soon" } }, codec), CodecError);
		assert.throws(() => readHttp(bound, { ...request, body: Buffer.from([0x7b, 0xff]) }, codec), /UTF-8/);
	});
	it("writes headers, status and body", () => {
		const output = { When: new Date(1_700_000_000_000), Meta: { a: "1" }, Code: 202, Body: "b" };
		assert.deepEqual(writeHttp(bound, output, 200, codec), {
			status: 202,
			headers: { "X-When": "Tue, 14 Nov 2023 22:13:20 GMT", "x-meta-a": "1", "Content-Type": "application/json" },
			body: '{"Body":"b"}',
		});
		assert.equal(writeHttp(bound, { Code: 204 }, 200, codec).body, "");
	});
});

describe("bodies of very many values", () => {
	it("are refused before they are taken apart, whatever they are", () => {
		const { read } = jsonDocument("application/json");
		for (const text of [
			"[".repeat(200_000),
			`{"Names":[${'"",'.repeat(150_000)}""]}`,
			`{"Items":[${"{},".repeat(150_000)}{}]}`,
		])
			assert.throws(() => read(schema, Buffer.from(text)), /has more than 100000 values/);
	});

	it("are no texts of commas, brackets and quotes", () => {
		const text = ',[{"\\'.repeat(100_000);
		assert.deepEqual(jsonDocument("application/json").read(schema, Buffer.from(JSON.stringify({ Text: text }))), {
			Text: text,
		});
	});
});
