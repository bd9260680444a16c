import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import { withoutPermission, withPermission } from "./permissions.ts";
import { changedSettings, defaultSettings, shownSettings } from "./queue-attributes.ts";
import { nameOfArn, nameOfUrl, queueArn } from "./queue-name.ts";
import { allowsSource, readRedriveAllowPolicy, readRedrivePolicy } from "./redrive-policy.ts";
import { fromStored, toStored } from "./stored-message.ts";

const place = { region: "eu-west-1", accountId: "123456789012" };
const arn = queueArn("dead", place);
const hasReason = (reason: string) => (error: unknown) => isSlipwayError(error) && error.reason === reason;

describe("Redrive policies", () => {
	it("are read, with a count as number or text", () => {
		for (const count of [3, "3"])
			assert.deepEqual(readRedrivePolicy(JSON.stringify({ deadLetterTargetArn: arn, maxReceiveCount: count })), {
				deadLetterTargetArn: arn,
				maxReceiveCount: 3,
			});
	});

	it("are refused with what is wrong with them", () => {
		for (const [policy, why] of [
			["", /not valid JSON/],
			["[]", /not a JSON object/],
			["null", /not a JSON object/],
			["{}", /mandatory attribute: deadLetterTargetArn/],
			[JSON.stringify({ deadLetterTargetArn: arn }), /mandatory attribute: maxReceiveCount/],
			...[0, 1001, 1.5, "x", null, {}].map(
				(maxReceiveCount) => [JSON.stringify({ deadLetterTargetArn: arn, maxReceiveCount }), /from 1 to 1000/] as const,
			),
			[JSON.stringify({ deadLetterTargetArn: "dead", maxReceiveCount: 1 }), /deadLetterTargetArn: dead/],
			[JSON.stringify({ deadLetterTargetArn: arn, maxReceiveCount: 1, more: 1 }), /unknown attribute: more/],
		] as const)
			assert.throws(() => readRedrivePolicy(policy), why, policy);
	});

	it("say whose dead letters a queue takes", () => {
		const byQueue = readRedriveAllowPolicy(JSON.stringify({ redrivePermission: "byQueue", sourceQueueArns: [arn] }));
		assert(allowsSource(byQueue, arn));
		assert(!allowsSource(byQueue, `${arn}2`));
		assert(allowsSource(undefined, arn));
		assert(!allowsSource(readRedriveAllowPolicy('{"redrivePermission":"denyAll"}'), arn));
		for (const policy of [
			"{}",
			'{"redrivePermission":"some"}',
			'{"redrivePermission":"byQueue"}',
			'{"redrivePermission":"byQueue","sourceQueueArns":[]}',
			'{"redrivePermission":"denyAll","sourceQueueArns":[]}',
			JSON.stringify({ redrivePermission: "byQueue", sourceQueueArns: Array(11).fill(arn) }),
		])
			assert.throws(() => readRedriveAllowPolicy(policy), hasReason("InvalidParameterValue"), policy);
	});
});

describe("Settings", () => {
	it("change by attribute and show as they were set", () => {
		const set = { DelaySeconds: "900", VisibilityTimeout: "0", Policy: '{"Id":"x"}', SqsManagedSseEnabled: "false" };
		const shown = shownSettings(changedSettings(defaultSettings, set, false), false);
		for (const [name, value] of Object.entries(set)) assert.equal(shown[name], value);
		assert(!("ContentBasedDeduplication" in shown));
		const without = changedSettings(changedSettings(defaultSettings, set, false), { Policy: "" }, false);
		assert(!("policy" in without));
	});

	it("of FIFO queues go together", () => {
		const high = { DeduplicationScope: "messageGroup", FifoThroughputLimit: "perMessageGroupId", FifoQueue: "true" };
		assert.equal(changedSettings(defaultSettings, high, true).fifoThroughputLimit, "perMessageGroupId");
		const alone = { FifoThroughputLimit: "perMessageGroupId" };
		assert.throws(() => changedSettings(defaultSettings, alone, true), hasReason("InvalidParameterValue"));
		assert.throws(() => changedSettings(defaultSettings, high, false), hasReason("InvalidAttributeName"));
		for (const name of ["__proto__", "constructor", "toString", "QueueArn"])
			assert.throws(
				() => changedSettings(defaultSettings, Object.fromEntries([[name, "1"]]), false),
				hasReason("InvalidAttributeName"),
			);
	});
});

describe("Names", () => {
	it("are read from ARNs of this place and from URLs of any host", () => {
		assert.equal(nameOfArn(arn, place), "dead");
		assert.equal(nameOfArn(arn, { ...place, region: "us-east-1" }), undefined);
		assert.equal(nameOfArn("arn:aws:sqs:eu-west-1:123456789012:a/b", place), undefined);
		for (const url of [
			"http://a:1/123456789012/q.fifo",
			"https://b/123456789012/q.fifo/",
			"/123456789012/q.fifo",
			"q.fifo",
		])
			assert.equal(nameOfUrl(url, place.accountId), "q.fifo");
		assert.throws(() => nameOfUrl("http://a/999999999999/q", place.accountId), hasReason("QueueDoesNotExist"));
		for (const url of ["", "http://a", "http://a/q", "ftp://a/123456789012/q", "a b", "http://a/123456789012/q?x=1"])
			assert.throws(() => nameOfUrl(url, place.accountId), hasReason("InvalidAddress"), url);
	});
});

describe("Permissions", () => {
	const permission = { label: "l", accountIds: ["111122223333", "444455556666"], actions: ["*", "SendMessage"] };

	it("are statements, added and taken away by label", () => {
		const one = withPermission(undefined, permission, arn);
		const two = withPermission(one, { ...permission, label: "m" }, arn);
		assert.equal((JSON.parse(two) as { Statement: unknown[] }).Statement.length, 2);
		assert.equal(withoutPermission(two, "m"), one);
		assert.equal(withoutPermission(one, "l"), undefined);
		assert.throws(() => withoutPermission(one, "none"), /can't find label/);
		assert.throws(() => withPermission(one, permission, arn), /Already exists/);
	});

	it("are for accounts and for actions that may be given away", () => {
		for (const bad of [
			{ accountIds: [] },
			{ accountIds: ["me"] },
			{ actions: [] },
			{ actions: ["DeleteQueue"] },
			{ label: "a b" },
		])
			assert.throws(
				() => withPermission(undefined, { ...permission, ...bad }, arn),
				hasReason("InvalidParameterValue"),
			);
	});
});

describe("Stored messages", () => {
	it("come back as they were, however long their attributes", () => {
		for (const size of [1, 400_000]) {
			const attributes = {
				text: { dataType: "String", stringValue: "é".repeat(size) },
				bytes: { dataType: "Binary.x", binaryValue: Buffer.alloc(size, 200) },
			};
			const parts = { body: Buffer.from("body"), attributes, senderId: "me", groupId: "g", deduplicationId: "d" };
			const stored = toStored(parts, size * 3);
			assert(JSON.stringify(stored.headers).length < 262_144);
			// Through JSON, as the log keeps them.
			const headers = JSON.parse(JSON.stringify(stored.headers)) as Record<string, unknown>;
			const read = fromStored({ body: stored.body, headers, group: "g" });
			assert.deepEqual({ ...read, body: Buffer.from(read.body) }, { ...parts, traceHeader: undefined });
		}
	});

	it("that another part of the daemon has appended have a body", () => {
		const { attributes, groupId, senderId } = fromStored({ body: Buffer.from("x"), headers: {}, group: "g" });
		assert.deepEqual([attributes, groupId, senderId], [{}, "g", ""]);
	});
});
