import assert from "node:assert/strict";
import { describe } from "node:test";
import { clause } from "./clause.ts";
import { area, refused, start, userGuide } from "./cloudwatch-logs.ts";

const source = `${userGuide}/FilterAndPatternSyntax.html`;

type Expected = readonly [pattern: string, matching: readonly string[], others: readonly string[]];

/** By TestMetricFilter, which uses the patterns as FilterLogEvents and StartLiveTail do. */
function patternClause(says: string, ...table: readonly Expected[]): void {
	clause({ area, says, source }, async () => {
		await using t = await start();
		for (const [filterPattern, matching, others] of table) {
			const logEventMessages = [...matching, ...others];
			const { matches } = await t.sdk.testMetricFilter({ filterPattern, logEventMessages });
			assert.deepEqual(matches?.map((match) => match.eventMessage) ?? [], matching, filterPattern);
		}
	});
}

const bad = "[ERROR 400] BAD REQUEST";
const argument = "[ERROR 419] MISSING ARGUMENTS";
const info = "[INFO] STARTED";

describe("CloudWatch Logs: filter patterns", () => {
	patternClause(
		"Terms must all be there, case and all, a quoted phrase as a whole; -terms must not be there; of ?terms one must",
		["ERROR", [bad, argument], [info, "error"]],
		["ERROR ARGUMENTS", [argument], [bad, info]],
		['"BAD REQUEST"', [bad], [argument, "BAD  REQUEST"]],
		["ERROR -ARGUMENTS", [bad], [argument, info]],
		["?ARGUMENTS ?STARTED", [argument, info], [bad]],
	);

	patternClause(
		"A regular expression stands between percent signs and is found anywhere in the message",
		["%AUTHORIZED%", ["UNAUTHORIZED REQUEST", "AUTHORIZED"], ["authorized"]],
		["%^\\[ERROR 4\\d{2}\\]%", [bad, argument], [info, ` ${bad}`]],
	);

	patternClause(
		"JSON patterns compare properties with texts, wildcards, numbers and regular expressions, joined by &&, || and brackets",
		[
			'{ $.eventType = "Update*" && ($.n > 3 || $.source = %^10\\.%) }',
			['{"eventType":"UpdateTrail","n":4}', '{"eventType":"Update","n":1,"source":"10.1.1.1"}'],
			['{"eventType":"UpdateTrail","n":3}', '{"eventType":"Delete","n":4}', "UpdateTrail 4"],
		],
		["{ $.list[1].id = 7 }", ['{"list":[{"id":1},{"id":7}]}'], ['{"list":[{"id":7}]}']],
		["{ $.n != 1 }", ['{"n":2}'], ['{"n":1}']],
	);

	patternClause(
		"JSON patterns tell null, true, false and what does not exist",
		["{ $.a IS NULL }", ['{"a":null}'], ['{"a":0}', "{}"]],
		["{ $.a IS TRUE }", ['{"a":true}'], ['{"a":"true"}', '{"a":false}']],
		["{ $.a NOT EXISTS }", ["{}", '{"b":1}'], ['{"a":null}']],
	);

	const line = '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534';
	patternClause(
		"Space-delimited patterns name a message's words; an ellipsis stands for any number of them; quotes and brackets hold a word together",
		["[ip, id, user, time, request = *html*, status = 4*, bytes > 1000]", [line], ["127.0.0.1 - frank"]],
		["[ip = 127.0.0.1, ..., status = 404 || status = 410, bytes]", [line], [line.replace("404", "500")]],
		["[ip, id, user]", ["a b c"], [line, "a b"]],
	);

	clause(
		{
			area,
			says: "An invalid pattern, groups in a regular expression, more than two of them, and more than 1,024 characters are InvalidParameterException",
			source,
		},
		async () => {
			await using t = await start();
			for (const filterPattern of ["{ $.a", "%(a)%", "%a% %b% %c%", '"open', "x".repeat(1025)])
				await refused(t.sdk.testMetricFilter({ filterPattern, logEventMessages: ["x"] }), "InvalidParameterException");
		},
	);
});
