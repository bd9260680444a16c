import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkJson } from "./json-syntax.ts";

describe("checkJson", () => {
	const good = [
		"null",
		" 1 ",
		"-0.5e+3",
		'"a\\u00e9\\n"',
		"[]",
		"{}",
		'[1,{"a":[true,false,null]},"x"]',
		'{"":{"__proto__":1}}',
		'"€"',
		"12345678901234567890",
		"\t[\r\n]",
	];
	const bad = [
		"",
		" ",
		"nul",
		"truex",
		"01",
		"1.",
		".5",
		"+1",
		"1e",
		"[1,]",
		"{,}",
		'{"a"}',
		'{"a":1,}',
		"{a:1}",
		"'a'",
		'"a',
		'"\n"',
		'"\\x"',
		'"\\u12g4"',
		"[",
		"]",
		"[}",
		"{]",
		"1 2",
		"\ufeff1",
		"NaN",
		"-",
		"[1 2]",
		'"\\u12',
	];

	for (const text of good) it(`takes ${text}`, async () => assert.equal(await checkJson(Buffer.from(text)), undefined));
	for (const text of bad)
		it(`refuses ${JSON.stringify(text)}`, async () => {
			assert.throws(() => JSON.parse(text));
			assert.equal(typeof (await checkJson(Buffer.from(text))), "string");
		});

	it("says where", async () => {
		assert.match(
			(await checkJson(Buffer.from('{\n "a": x}'))) ?? "",
			/^Unexpected character \('x' \(code 120\)\).*line: 2, column: 7\]$/s,
		);
		assert.match((await checkJson(Buffer.from("<x>"))) ?? "", /\('<' \(code 60\)\).*line: 1, column: 1\]$/s);
		assert.match((await checkJson(Buffer.from('{"a":'))) ?? "", /^Unexpected end-of-input/);
	});
	it("refuses what is not UTF-8, and depth without end", async () => {
		assert.match((await checkJson(Buffer.from([0x22, 0xff, 0x22]))) ?? "", /UTF-8/);
		assert.match((await checkJson(Buffer.from("[".repeat(100_000)))) ?? "", /nesting depth/);
		assert.match((await checkJson(Buffer.from("1".repeat(2000)))) ?? "", /length exceeds/);
	});
	it("agrees with JSON.parse on seeded mutations", async () => {
		const source = '{"a":[1,-2.5e-7,"x\\u0041\\"y",{"b":null,"c":true}],"d":{"e":false}}';
		const alphabet = '{}[]",:0123456789.eE+-truefalsn\\u \n';
		let state = 42;
		const next = (below: number) => {
			state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
			return Math.floor((state / 2 ** 32) * below);
		};
		let valid = 0;
		for (let round = 0; round < 50_000; round++) {
			const at = next(source.length);
			const text =
				source.slice(0, at) + alphabet.slice(next(alphabet.length)).slice(0, next(3)) + source.slice(at + next(3));
			let expected = true;
			try {
				JSON.parse(text);
				valid++;
			} catch {
				expected = false;
			}
			assert.equal((await checkJson(Buffer.from(text))) === undefined, expected, text);
		}
		assert.ok(valid > 1000);
	});
	it("agrees across slice borders", async () => {
		for (const border of [256 * 1024, 512 * 1024])
			for (let shift = -8; shift <= 2; shift++) {
				const pad = "a".repeat(border + shift - 2);
				assert.equal(await checkJson(Buffer.from(`["${pad}",-12.5e3,"\\u00e9\\\\"]`)), undefined);
				assert.notEqual(await checkJson(Buffer.from(`["${pad}",-12.e3]`)), undefined);
			}
	});
	it("lets go of the loop after every quarter of a megabyte", async () => {
		const payload = Buffer.from(
			JSON.stringify({
				list: Array.from({ length: 90_000 }, (_, i) => ({ id: i, text: "some text that is a little longer" })),
			}),
		);
		let turns = 0;
		let over = false;
		const count = () => {
			turns++;
			if (!over) setImmediate(count);
		};
		setImmediate(count);
		assert.equal(await checkJson(payload), undefined);
		over = true;
		assert.ok(turns >= Math.floor(payload.length / (256 * 1024)), `${turns} turns for ${payload.length} bytes`);
	});
});
