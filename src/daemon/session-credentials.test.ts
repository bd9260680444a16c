import assert from "node:assert/strict";
import { test } from "node:test";
import { randomIds } from "../base/ids.ts";
import { SessionCredentials } from "./session-credentials.ts";

const accountId = "123456789012";

test("keys of a function's code are found by their id: secret, token, and whose they are", () => {
	const sessions = new SessionCredentials({ ids: randomIds, accountId });
	const { accessKeyId, ...keys } = sessions.issue("orders");
	sessions.issue("other");
	const { principal, ...found } = sessions.find(accessKeyId) ?? assert.fail("not found");
	assert.deepEqual(found, keys);
	assert.equal(principal.isSession, true);
	assert.equal(principal.arn, `arn:aws:sts::${accountId}:assumed-role/slipway/orders`);
	assert.notEqual(sessions.issue("orders").secretAccessKey, keys.secretAccessKey);
});

test("ids that were never issued, and those of another process, open nothing", () => {
	const sessions = new SessionCredentials({ ids: randomIds, accountId });
	const { accessKeyId, secretAccessKey } = sessions.issue("orders");
	assert.equal(sessions.find("ASIA0000010123456789"), undefined);
	assert.equal(sessions.find("AKIAIOSFODNN7EXAMPLE"), undefined);
	const next = new SessionCredentials({ ids: randomIds, accountId });
	assert.equal(next.find(accessKeyId), undefined);
	next.issue("orders");
	assert.notEqual(next.find(accessKeyId)?.secretAccessKey, secretAccessKey);
});
