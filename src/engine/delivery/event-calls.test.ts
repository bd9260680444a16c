import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { SlipwayError } from "../../base/error.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import { EventCalls } from "./event-calls.ts";
import { EventRoom } from "./event-room.ts";

const result: InvocationResult = {
	payload: new Uint8Array(),
	functionError: undefined,
	executedVersion: "$LATEST",
	logTail: undefined,
	coldStart: undefined,
};
const request = (requestId: string): InvocationRequest => ({ requestId, payload: new Uint8Array(), invokedArn: "arn" });

function calls(answer: () => Promise<void>) {
	const clock = new VirtualClock();
	const room = new EventRoom({ clock, cpu: { idleMs: () => undefined }, cpus: 1, maxTotal: 3, starting: () => 0 });
	const began: string[] = [];
	const invoke = async (name: string, { requestId }: InvocationRequest) => {
		began.push(`${name} ${requestId}`);
		await answer();
		return result;
	};
	return { clock, began, calls: new EventCalls({ room, invoke }) };
}

test("calls begin as there is room, in the order of their function, and each gets its answer", async () => {
	let running = 0;
	let most = 0;
	const w = calls(async () => {
		most = Math.max(most, ++running);
		await w.clock.sleep(100);
		running--;
	});
	const ids = Array.from({ length: 20 }, (_, id) => `${id}`);
	const answers = Promise.all(
		["f", "g", "h", "i"].flatMap((name) => ids.map((id) => w.calls.invoke(name, request(id)))),
	);
	await w.clock.advance(10_000);
	assert.equal((await answers).length, 80);
	assert.equal(most, 3);
	for (const name of ["f", "g", "h", "i"])
		assert.deepEqual(
			w.began.filter((text) => text.startsWith(name)),
			ids.map((id) => `${name} ${id}`),
		);
	await w.clock.advance(2000);
	assert.equal(w.clock.pending, 0);
});

test("what the function's call rejects with comes out, and others go on", async () => {
	let count = 0;
	const w = calls(async () => {
		if (++count === 1) throw new SlipwayError("THROTTLED", "Rate Exceeded.");
	});
	const first = w.calls.invoke("f", request("1"));
	const second = w.calls.invoke("f", request("2"));
	await assert.rejects(first, { code: "THROTTLED" });
	await w.clock.advance(2000);
	assert.equal(await second, result);
});

test("at the end those that wait are refused", async () => {
	const w = calls(() => w.clock.sleep(1000));
	const running = w.calls.invoke("f", request("1"));
	const others = Promise.allSettled(["2", "3", "4"].map((id) => w.calls.invoke("f", request(id))));
	w.calls[Symbol.dispose]();
	await assert.rejects(w.calls.invoke("f", request("5")), { code: "UNAVAILABLE" });
	await w.clock.advance(2000);
	assert.equal(await running, result);
	assert.deepEqual(
		(await others).map(({ status }) => status),
		["fulfilled", "rejected", "rejected"],
	);
});
