import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeploymentProgress } from "../client/service-schema.ts";
import { DeploymentLines } from "./deployment-progress.ts";

const mib = 1024 * 1024;
const revision = "hello-00001";
const unpacking = (done: number): DeploymentProgress => ({
	revision,
	stage: "unpack",
	image: "127.0.0.1:4747/hello:1",
	done: done * mib,
	total: 400 * mib,
});
const starting: DeploymentProgress = { revision, stage: "start", done: 0, total: 0 };

function over(isTTY: boolean) {
	const output = { text: "", nowMs: 0 };
	const out = {
		isTTY,
		columns: 80,
		write: (text: string) => {
			output.text += text;
		},
		cursorTo: () => {},
		clearLine: () => {
			output.text = output.text.slice(0, output.text.lastIndexOf("\n") + 1);
		},
	};
	return { output, lines: new DeploymentLines(out as unknown as NodeJS.WriteStream, () => output.nowMs) };
}

test("Without a terminal each step is a line, and a long one says in a while how far it is", () => {
	const { output, lines } = over(false);
	lines.update({ revision, stage: "resolve", image: "127.0.0.1:4747/hello:1", done: 0, total: 0 });
	for (const seconds of [1, 2, 3, 11, 12]) {
		output.nowMs = seconds * 1000;
		lines.update(unpacking(seconds * 10));
	}
	lines.update(starting);
	lines.log("warming up\n");
	output.nowMs = 25_000;
	lines.draw();
	assert.deepEqual(output.text.split("\n"), [
		"resolving 127.0.0.1:4747/hello:1",
		"unpacking 127.0.0.1:4747/hello:1, 400 MiB",
		"unpack               [#######-----------------]  27 %  110 MiB of 400 MiB  127.0.0.1:4747/hello:1",
		"hello-00001 is starting",
		"hello-00001 is starting, 13 s: warming up",
		"",
	]);
});

test("On a terminal the last line is drawn over, fits, and leaves nothing behind", () => {
	const { output, lines } = over(true);
	lines.update(unpacking(100));
	lines.update(unpacking(200));
	assert.match(output.text, /^unpack +\[#{12}-{12}\] +50 % {2}200 MiB of 400 MiB/);
	lines.print("ConfigurationsReady  waiting");
	lines.update(starting);
	lines.log("x".repeat(1000));
	output.nowMs = 3000;
	lines.draw();
	assert.match(output.text, /^ConfigurationsReady {2}waiting\nhello-00001 is starting, 3 s: x+$/);
	assert.equal(output.text.split("\n")[1]?.length, 79);
	lines[Symbol.dispose]();
	assert.equal(output.text, "ConfigurationsReady  waiting\n");
});
