/** What the clauses on extensions have in common. */
import assert from "node:assert/strict";
import {
	openTestSession,
	type TestSession,
	type TestSessionOptions,
	until,
} from "../../../src/contracts/lambda/testing/test-session.ts";

export async function opened(options: TestSessionOptions, body: (test: TestSession) => Promise<void>): Promise<void> {
	await using test = await openTestSession(options);
	await body(test);
}

export function refused(answer: { status: number; body: string }, errorType: string, errorMessage: string) {
	assert.deepEqual([answer.status, JSON.parse(answer.body)], [403, { errorMessage, errorType }]);
}

export function register(test: TestSession, name: string | undefined, body: string, headers = {}) {
	return test.call("POST", "/2020-01-01/extension/register", body, {
		...(name !== undefined && { "Lambda-Extension-Name": name }),
		...headers,
	});
}

/** One external extension and the runtime wait for the first event. */
export async function ready(test: TestSession, events = ["INVOKE", "SHUTDOWN"]) {
	const id = await test.register("ext", events);
	const event = test.extension("GET", "event/next", id);
	const next = test.runtime("GET", "invocation/next");
	await until(() => test.seen.ready === 1);
	return { id, event, next };
}
