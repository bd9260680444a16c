import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../../base/error.ts";
import { parseFilterPattern } from "./filter-pattern.ts";

function check(pattern: string, matching: readonly string[], others: readonly string[]): void {
	const { matches } = parseFilterPattern(pattern);
	for (const message of matching) assert.equal(matches(message), true, `${pattern} matches ${message}`);
	for (const message of others) assert.equal(matches(message), false, `${pattern} does not match ${message}`);
}

test("terms: all of them, phrases, excluded ones, optional ones, none", () => {
	check("", ["", "anything"], []);
	check("ERROR", ["[ERROR 400] BAD REQUEST", "ERRORS"], ["error", ""]);
	check("ERROR ARGUMENTS", ["ERROR 419: MISSING ARGUMENTS"], ["ERROR", "ARGUMENTS"]);
	check('"INTERNAL SERVER ERROR"', ["x INTERNAL SERVER ERROR y"], ["INTERNAL  SERVER ERROR"]);
	check('"say \\"x\\" \\\\"', ['say "x" \\'], ["say x"]);
	check("ERROR -ARGUMENTS", ["ERROR 400"], ["ERROR ARGUMENTS", "ARGUMENTS"]);
	check('-"two words"', ["two", ""], ["two words"]);
	check("?ERROR ?WARN", ["an ERROR", "a WARN"], ["INFO"]);
	check("?ERROR INFO", ["INFO"], ["ERROR"]);
});

test("regular expressions: found anywhere, with the operators that the service has", () => {
	check("%AUTHORIZED%", ["[ERROR 401] UNAUTHORIZED REQUEST", "AUTHORIZED"], ["authorized"]);
	check("%^START .*\\d$%", ["START 1", "START x9"], ["x START 1", "START 1 ", "START"]);
	check("%10\\.10\\.[0-9]{1,3}\\.\\d+%", ["ip 10.10.255.1;"], ["10.10.2555.1", "10x10.2.1"]);
	check("%^a|b$%", ["abc", "cb"], ["cba x"]);
	check("%colou?r[^a-z]%", ["color!", "colour ü"], ["colors"]);
	check("%\\x41\\w\\s\\S%", ["AB c"], ["A  c"]);
	check("%[\\d\\-x]+z%", ["1-xz"], ["yz"]);
	check("ERROR %a+%", ["ERROR aa"], ["aa", "ERROR"]);
	check("%x{2}$%", ["axx"], ["ax", "xxa"]);
});

test("regular expressions take time in proportion to the text", () => {
	const evil = parseFilterPattern("%a*a*a*a*a*a*a*a*a*a*[ab]*a[ab]{20}c%");
	const began = performance.now();
	assert.equal(evil.matches("ab".repeat(25_000)), false);
	assert.ok(performance.now() - began < 3000);
});

test("JSON: selectors, operators, kinds of values", () => {
	const event = JSON.stringify({
		type: "Update",
		user: { id: 1, email: "j@x.org", "a.b": null },
		status: 404,
		big: 1.5e10,
		list: [{ n: 1 }, { n: 7, tag: "y" }],
		ok: true,
		off: false,
		nothing: null,
		ip: "10.0.0.1",
	});
	const yes = [
		'{ $.type = "Update" }',
		"{$.type=Update}",
		"{ $.type = Up*te }",
		'{ $.type != "Create" }',
		"{ $.status = 404 }",
		"{ $.status = 4* }",
		"{ $.status >= 404 && $.status < 405 }",
		"{ $.big = 15e9 }",
		"{ $.user.id = 1 }",
		"{ $.user['a.b'] IS NULL }",
		'{ $.user.["email"] = "*@x.org" }',
		"{ $.list[1].n > 3 }",
		'{ $.list[*].tag = "y" }',
		"{ $.ok IS TRUE && $.off is false }",
		"{ $.nothing IS NULL }",
		"{ $.missing NOT EXISTS }",
		"{ $.list[2] NOT EXISTS }",
		"{ $.ip = %^10\\.\\d+% }",
		'{ ($.status = 500) || ($.type = "Update" && ($.user.id = 2 || $.ok IS TRUE)) }',
	];
	for (const pattern of yes)
		check(
			pattern,
			[event],
			["text", "{broken", "[]", "{}"].filter((m) => m === "text"),
		);
	const no = [
		'{ $.type = "update" }',
		"{ $.missing = 1 }",
		"{ $.missing != 1 }",
		"{ $.status > 404 }",
		"{ $.type > 3 }",
		"{ $.missing IS NULL }",
		"{ $.ok IS FALSE }",
		"{ $.type NOT EXISTS }",
		"{ $.user = x }",
		"{ $.status = 404 && $.ok IS FALSE }",
	];
	for (const pattern of no) check(pattern, [], [event]);
	check('{ $.["__proto__"] NOT EXISTS }', ["{}"], []);
	assert.deepEqual(parseFilterPattern("{ $.status = 404 && $.list[1].tag = y }").extract(event), {
		"$.status": "404",
		"$.list[1].tag": "y",
	});
});

test("space-delimited: fields by place, ellipsis, conditions", () => {
	const line = '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534';
	for (const pattern of [
		"[ip, id, user, time, request, status, bytes]",
		"[ip=127.0.0.1, ..., status, bytes]",
		"[..., status = 4*, bytes > 1000]",
		"[..., request = *html*, status = 404 || status = 410, bytes]",
		'[ip, id, user, time, request != "POST *", status, bytes != 1]',
		"[ip, ...]",
		"[ip = %^127\\.%, ...]",
		"[ip, id, user, (user2 = frank) && (user2 != joe), ...]".replaceAll("user2", "time").replace("= frank", "= *Oct*"),
	])
		check(pattern, [line], ["", "one two"].slice(0, pattern === "[ip, ...]" ? 1 : 2));
	for (const pattern of ["[ip, id, user]", "[..., status = 5*, bytes]", "[..., bytes < 1000]", "[ip = 10.*, ...]"])
		check(pattern, [], [line]);
	assert.deepEqual(parseFilterPattern("[ip, ..., status, bytes]").extract(line), {
		$ip: "127.0.0.1",
		$status: "404",
		$bytes: "1534",
	});
});

test("what is no pattern is refused, and says why", () => {
	for (const pattern of [
		'"open',
		"%open",
		"%(a)%",
		"%a!%",
		"%\\1%",
		"%[b-a]%",
		"%[a%",
		"%a{3,2}%",
		"%a{999}%",
		"%%",
		"%ü%",
		"%a% %b% %c%",
		"{",
		"{}",
		"{ $.a }",
		"{ $.a = }",
		"{ $.a = 1 } x",
		"{ $.a = 1 && }",
		"{ ($.a = 1 }",
		"{ $ = 1 }",
		'{ $.a > "x" }',
		"{ $.a[x] = 1 }",
		"[",
		"[a",
		"[..., a, ...]",
		"[a = ]",
		"[a = 1 && b = 2]",
		"[]",
		"a=b",
		"x".repeat(1025),
	])
		assert.throws(
			() => parseFilterPattern(pattern),
			(error) => isSlipwayError(error, "INVALID"),
			pattern,
		);
});

test("garbage is a pattern or refused, and no message makes a pattern throw", () => {
	let seed = 42;
	const random = (below: number) => {
		seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
		return (seed >>> 8) % below;
	};
	const pieces = [
		"{",
		"}",
		"[",
		"]",
		"(",
		")",
		"$.a",
		"$",
		".b",
		"[*]",
		"=",
		"!=",
		">",
		"<",
		"&&",
		"||",
		"%",
		'"',
		"\\",
	];
	pieces.push(
		"...",
		",",
		"?",
		"-",
		"*",
		"1",
		"a",
		" ",
		"IS",
		"NULL",
		"NOT EXISTS",
		"TRUE",
		"ü",
		"{2,3}",
		"^",
		"|",
		"+",
		"1e9",
	);
	const messages = ["", "a", "a 1 b", '{"a":{"b":[1,"a",null]}}', '"', "[", "{", "\u0000", "ü".repeat(300)];
	let accepted = 0;
	for (let round = 0; round < 20_000; round++) {
		const pattern = Array.from({ length: 1 + random(12) }, () => pieces[random(pieces.length)]).join("");
		try {
			const parsed = parseFilterPattern(pattern);
			accepted++;
			for (const message of messages) {
				parsed.matches(message);
				parsed.extract(message);
			}
		} catch (error) {
			assert.ok(isSlipwayError(error, "INVALID"), `${pattern}: ${error}`);
		}
	}
	assert.ok(accepted > 100, `${accepted} of them were patterns`);
});

test("Words between spaces are found in time that grows with the message, brackets that nobody closes included", () => {
	const pattern = parseFilterPattern('[..., last = "end"]');
	assert.equal(pattern.matches("a [b c] [ [ d end"), true);
	assert.deepEqual(parseFilterPattern("[a, b, c, d]").extract('x [y z] "q r" [s'), {
		$a: "x",
		$b: "y z",
		$c: "q r",
		$d: "[s",
	});
	const open = "[ ".repeat(128 * 1024);
	const startMs = performance.now();
	assert.equal(pattern.matches(`${open}end`), true);
	// Some 15 ms; in the square of the length it was 15 s.
	assert.ok(performance.now() - startMs < 2000);
});
