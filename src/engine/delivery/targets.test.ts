import assert from "node:assert/strict";
import { test } from "node:test";
import type { Delivery, TargetKind } from "../../core/delivery/target.ts";
import { FunctionTarget } from "../async-invocations/function-target.ts";
import { functionArn, testWorld } from "../async-invocations/testing.ts";
import { TargetRegistry } from "./targets.ts";

const delivery: Delivery = { id: "d1", correlation: "c1", body: Buffer.from("{}"), sourceArn: "arn:source" };

function kind(prefix: string, checked: string[]): TargetKind {
	return {
		owns: (arn) => arn.startsWith(prefix),
		check: (arn) => checked.push(arn),
		handOver: (arn) => ({ kind: "append", changes: [{ change: "append", lane: arn, id: "x", body: Buffer.alloc(0) }] }),
	};
}

test("an ARN is checked and served by the kind that owns it, those that are added later too", () => {
	const checked: string[] = [];
	const targets = new TargetRegistry([kind("arn:a", checked)]);
	targets.check("arn:a:1");
	assert.throws(() => targets.check("arn:b:1"), { code: "INVALID", message: /'arn:b:1' is not the ARN of anything/ });
	assert.throws(() => targets.handOver("arn:b:1", delivery), { code: "INVALID" });
	targets.add(kind("arn:b", checked));
	targets.check("arn:b:1");
	assert.deepEqual(checked, ["arn:a:1", "arn:b:1"]);
	const handover = targets.handOver("arn:b:1", delivery);
	assert.equal(
		handover.kind === "append" && handover.changes[0]?.change === "append" && handover.changes[0].lane,
		"arn:b:1",
	);
});

test("a function is a target by its ARN, with a version or alias that is there, of this installation", async () => {
	await using world = await testWorld();
	world.functions.put("f");
	world.functions.putVersion("f", "1");
	const target = new FunctionTarget(world.invocations, { region: "us-east-1", accountId: "123456789012" });
	for (const arn of [functionArn("f"), `${functionArn("f")}:1`, `${functionArn("f")}:$LATEST`]) {
		assert.equal(target.owns(arn), true);
		target.check(arn);
	}
	for (const arn of [functionArn("g"), `${functionArn("f")}:2`, `${functionArn("f")}:live`])
		assert.throws(() => target.check(arn), { code: "NOT_FOUND" });
	for (const arn of [
		functionArn("f").replace("us-east-1", "eu-west-1"),
		functionArn("f").replace("123456789012", "210987654321"),
	])
		assert.throws(() => target.check(arn), { code: "INVALID" });
	for (const arn of ["f", "arn:aws:sqs:us-east-1:123456789012:f", `${functionArn("f")}:1:2`])
		assert.equal(target.owns(arn), false);
});

test("what is delivered to a function runs as an event of it, in the commit of its source, with the source's lineage", async () => {
	await using world = await testWorld();
	world.functions.put("f");
	const target = new FunctionTarget(world.invocations, { region: "us-east-1", accountId: "123456789012" });
	const traceId = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0;Lineage=a87bd80c:3";
	const handover = target.handOver(functionArn("f"), { ...delivery, traceId });
	assert(handover.kind === "append");
	await world.log.commit(handover.changes);
	await world.clock.advance(0);
	const [call] = world.calls;
	assert.equal(call?.request.requestId, "d1");
	assert.match(call?.request.traceId ?? "", /Lineage=a87bd80c:3\|[0-9a-f]{8}:1$/);
	assert.deepEqual(
		(await world.log.trail("c1")).map(({ id, result }) => [id, result]),
		[["d1", "done"]],
	);
	assert.throws(() => target.handOver(functionArn("g"), delivery), { code: "NOT_FOUND" });
	assert.throws(() => target.handOver(functionArn("f"), { ...delivery, body: Buffer.alloc(1_048_577) }), {
		code: "TOO_LARGE",
	});
});
