import assert from "node:assert/strict";
import { test } from "node:test";
import { Followers } from "./followers.ts";

test("A follower that does not keep up holds some megabytes, however long the lines are, and is told what it missed", async () => {
	const followers = new Followers(() => 7);
	const stop = new AbortController();
	const events = followers.follow("g", { signal: stop.signal })[Symbol.asyncIterator]();
	const first = events.next();
	const message = "x".repeat(256 * 1024);
	const count = 100;
	followers.tell(
		"g",
		"s",
		Array.from({ length: count }, (_, timestamp) => ({ timestamp, message })),
	);
	let seen = 0;
	let event = (await first).value;
	for (; event.message === message; event = (await events.next()).value) seen++;
	assert.equal(seen, (16 * 1024 * 1024) / message.length);
	assert.match(event.message, new RegExp(`^\\[slipway\\] ${count - seen} lines are not shown here`));
	followers.tell("g", "s", [{ timestamp: 1, message: "again" }]);
	assert.equal((await events.next()).value.message, "again");
	stop.abort();
	assert.equal((await events.next()).done, true);
});
