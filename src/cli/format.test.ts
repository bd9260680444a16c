import assert from "node:assert/strict";
import { test } from "node:test";
import { fishExports, posixExports } from "./env.ts";
import { formatBytes, formatDuration, paint, parseDuration, table } from "./format.ts";
import { barLine, ProgressBars } from "./progress.ts";
import { closest } from "./run.ts";

test("Sizes, ages and times", () => {
	const sizes: [number, string][] = [
		[0, "0 B"],
		[1023, "1023 B"],
		[1024, "1.0 KiB"],
		[150 * 1024, "150 KiB"],
		[10 * 2 ** 30, "10.0 GiB"],
	];
	for (const [bytes, text] of sizes) assert.equal(formatBytes(bytes), text);
	const ages: [number, string][] = [
		[-5, "0s"],
		[999, "0s"],
		[61_000, "1m 1s"],
		[3_600_000, "1h"],
		[90_061_000, "1d 1h"],
	];
	for (const [ms, text] of ages) assert.equal(formatDuration(ms), text);
	const times: [string, number | undefined][] = [
		["5m", 300_000],
		["90", 90_000],
		["1.5h", 5_400_000],
		["250ms", 250],
		["2d", 172_800_000],
		["m", undefined],
		["-1s", undefined],
		["5 m", undefined],
	];
	for (const [text, ms] of times) assert.equal(parseDuration(text), ms, text);
});

test("Tables line up whatever is painted", () => {
	assert.equal(
		table(
			["A", "B"],
			[
				[paint(true, "green", "x"), "1"],
				["yyy", ""],
			],
		),
		`A    B\n${paint(true, "green", "x")}    1\nyyy`,
	);
	assert.equal(paint(false, "red", "x"), "x");
});

test("Shell quoting holds for whatever a value holds", () => {
	const settings = { A: 'it\'s $HOME `x` \\ "q"' };
	assert.match(posixExports(settings), /\nexport A='it'\\''s \$HOME `x` \\ "q"'$/);
	assert.match(fishExports(settings), /\nset -gx A 'it\\'s \$HOME `x` \\\\ "q"'$/);
});

test("Suggestions are near or none", () => {
	const names = ["status", "function ls", "image ls", "up"];
	assert.equal(closest("stats", names), "status");
	assert.equal(closest("functio", names), "function ls");
	assert.equal(closest("imgae ls", names), "image ls");
	assert.equal(closest("completely-else", names), undefined);
});

test("Progress: plain lines off a terminal, one bar a stage drawn over on one", () => {
	const half = { stage: "pull", digest: `sha256:${"a".repeat(64)}`, done: 512, total: 1024 } as const;
	assert.equal(barLine(half), "pull aaaaaaaaaaaa    [############------------]  50 %  512 B of 1.0 KiB");
	assert.equal(
		barLine({ stage: "receive", done: 7, total: 0 }),
		"receive              [------------------------]   0 %  7 B",
	);
	const plain: string[] = [];
	const lines = new ProgressBars({ write: (text: string) => plain.push(text) } as unknown as NodeJS.WriteStream);
	for (const done of [512, 700, 1024, 1024]) lines.update({ ...half, done });
	assert.deepEqual(plain, ["pull aaaaaaaaaaaa: started, 1.0 KiB\n", "pull aaaaaaaaaaaa: done, 1.0 KiB\n"]);

	const calls: string[] = [];
	const terminal = {
		isTTY: true,
		write: (text: string) => calls.push(text),
		moveCursor: (_: number, y: number) => calls.push(`up ${-y}`),
		cursorTo: () => undefined,
		clearLine: () => undefined,
		clearScreenDown: () => calls.push("clear"),
	};
	{
		using bars = new ProgressBars(terminal as unknown as NodeJS.WriteStream);
		bars.update(half);
		bars.update({ ...half, stage: "unpack" });
	}
	assert.deepEqual(
		calls.filter((call) => /^up|clear/.test(call)),
		["up 1", "up 2", "clear"],
	);
});
