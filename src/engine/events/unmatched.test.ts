import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { randomIds } from "../../base/ids.ts";
import { FakeMessageLog } from "../../core/message-log/fake-message-log.ts";
import { TargetRegistry } from "../delivery/targets.ts";
import { Events } from "./events.ts";

test("an event that a bus took and nobody wanted is told from one that nobody knows", async () => {
	using log = new FakeMessageLog({ clock: systemClock });
	const events = new Events({
		log,
		targets: new TargetRegistry([]),
		clock: systemClock,
		ids: randomIds,
		region: "eu-west-1",
		accountId: "123456789012",
		unmatched: (id) => (id === "one" ? "shop" : undefined),
	});
	await assert.rejects(
		events.story("one"),
		/Event bus shop took the event, and none of its rules and archives matched/,
	);
	await assert.rejects(events.story("two"), /Nothing is known of an event 'two'/);
});
