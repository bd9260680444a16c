import assert from "node:assert/strict";
import { test } from "node:test";
import { SlipwayError } from "../../base/error.ts";
import type { HttpAnswer, HttpCall } from "../../core/delivery/http-caller.ts";
import type { CallOutcome } from "../../core/delivery/target.ts";
import type { ServiceRoute } from "../../core/service/traffic.ts";
import { ServiceTarget } from "./service-target.ts";

const route: ServiceRoute = {
	namespace: "default",
	service: "orders",
	tag: undefined,
	targets: [],
	ingress: "all",
	sessionAffinity: false,
	reason: undefined,
};
const arn = "arn:slipway:run:us-east-1:000000000000:service/default/orders";

function target(answer: Partial<HttpAnswer> | Error, retriesEveryFailure = false) {
	const calls: HttpCall[] = [];
	const made = new ServiceTarget({
		routes: { find: (namespace, name) => (namespace === "default" && name === "orders" ? route : undefined) },
		caller: {
			call: async (call) => {
				calls.push(call);
				if (answer instanceof Error) throw answer;
				return { status: 200, headers: {}, body: new Uint8Array(), ...answer };
			},
		},
		clock: { now: () => Date.UTC(2026, 0, 1) },
		region: "us-east-1",
		accountId: "000000000000",
		retriesEveryFailure: () => retriesEveryFailure,
	});
	return { made, calls };
}

async function outcome(answer: Partial<HttpAnswer> | Error, retriesEveryFailure = false): Promise<CallOutcome> {
	const { made } = target(answer, retriesEveryFailure);
	const handover = made.handOver(arn, { id: "1", correlation: "1", body: Buffer.from("{}"), sourceArn: "x" });
	assert.ok(handover.kind === "call");
	return handover.run(new AbortController().signal);
}

const cases: [number, boolean, boolean | "ok"][] = [
	[200, false, "ok"],
	[204, false, "ok"],
	[302, false, true],
	[400, false, true],
	[408, false, false],
	[410, false, true],
	[429, false, false],
	[500, false, false],
	[503, false, false],
	[400, true, false],
	[404, true, false],
	[410, true, true],
];

for (const [status, retriesAll, expected] of cases)
	test(`${status}${retriesAll ? ", every failure retried" : ""}: ${expected === "ok" ? "ok" : expected ? "final" : "again"}`, async () => {
		const result = await outcome({ status }, retriesAll);
		assert.equal(result.ok || result.permanent, expected === "ok" || expected);
		assert.equal(result.ok, expected === "ok");
	});

test("Retry-After is seconds or a date", async () => {
	const after = async (text: string) => {
		const result = await outcome({ status: 503, headers: { "retry-after": text } });
		return result.ok ? undefined : result.retryAfterMs;
	};
	assert.equal(await after("7"), 7000);
	assert.equal(await after("Thu, 01 Jan 2026 00:01:00 GMT"), 60_000);
	assert.equal(await after("Thu, 01 Jan 2025 00:01:00 GMT"), 0);
	assert.equal(await after("soon"), undefined);
	assert.equal(await after("999999999"), 86_400_000);
});

test("what broke is tried again, and an answer that is too long is not", async () => {
	const late = await outcome(new SlipwayError("DEADLINE", "late"));
	assert.ok(!late.ok && !late.permanent && late.code === "DEADLINE");
	const long = await outcome(new SlipwayError("TOO_LARGE", "long"));
	assert.ok(!long.ok && long.permanent);
});

test("ARNs are checked", () => {
	const { made } = target({});
	assert.equal(made.owns(arn), true);
	assert.equal(made.owns("arn:aws:sqs:us-east-1:000000000000:q"), false);
	made.check(`${arn}/a/b?c`);
	const refused = (text: string, code: string) =>
		assert.throws(
			() => made.check(text),
			(error) => error instanceof SlipwayError && error.code === code,
			text,
		);
	refused(arn.replace("orders", "nobody"), "NOT_FOUND");
	refused(arn.replace("us-east-1", "eu-west-1"), "INVALID");
	refused(`${arn}/a b`, "INVALID");
	refused("arn:slipway:run:us-east-1:000000000000:service/orders", "INVALID");
});

test("path and headers are the delivery's own where it has some", async () => {
	const { made, calls } = target({});
	const http = { path: "/own", headers: { "content-type": "text/plain", "ce-id": "9" } };
	const handover = made.handOver(`${arn}/in`, {
		id: "1",
		correlation: "1",
		body: Buffer.from("x"),
		sourceArn: "x",
		http,
	});
	if (handover.kind === "call") await handover.run(new AbortController().signal);
	const [call] = calls;
	assert.deepEqual([call?.path, call?.headers["content-type"], call?.headers["ce-id"]], ["/own", "text/plain", "9"]);
});

test("a trace header that can't stand in a request is left out, and the event goes all the same", async () => {
	for (const [traceId, sent] of [
		["Root=1-5759e988-bd862e3fe1be46a994272793", true],
		["Root=1\r\nx-evil: 1", false],
		["Root=é", false],
	] as const) {
		const { made, calls } = target({});
		const handover = made.handOver(arn, {
			id: "1",
			correlation: "1",
			body: Buffer.from("{}"),
			sourceArn: "x",
			traceId,
		});
		assert.ok(handover.kind === "call");
		await handover.run(new AbortController().signal);
		assert.equal(calls[0]?.headers["x-amzn-trace-id"], sent ? traceId : undefined);
	}
});
