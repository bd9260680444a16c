import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { FakeFunctionStore } from "../../core/function/fake-function-store.ts";
import type { FunctionRevision } from "../../core/invocation/function-contract.ts";
import { activeFunction, arn, failsWith, imageUri, openFunctions } from "../testing/functions.ts";
import { FunctionConcurrency, type Provisioning } from "./concurrency.ts";
import { FunctionVersions } from "./versions.ts";

/** Says ready when the test does. */
class FakeProvisioning implements Provisioning {
	readonly calls: string[] = [];
	readonly #counts = new Map<string, number>();
	ready = false;
	failure: string | undefined;

	provision({ name, version }: FunctionRevision, count: number): void {
		this.calls.push(`${name}:${version}=${count}`);
		if (count === 0) this.#counts.delete(`${name}:${version}`);
		else this.#counts.set(`${name}:${version}`, count);
	}

	provisionedState(name: string, version: string) {
		const allocated = this.#counts.get(`${name}:${version}`);
		if (allocated === undefined) return undefined;
		const status = this.failure ? "FAILED" : this.ready ? "READY" : "IN_PROGRESS";
		return { allocated, available: this.ready ? allocated : 0, status, reason: this.failure } as const;
	}

	takeCalls(): string[] {
		return this.calls.splice(0);
	}
}

async function open(store = new FakeFunctionStore()) {
	const opened = await openFunctions({ store });
	const { functions, records } = opened;
	const versions = new FunctionVersions(opened);
	const provisioning = new FakeProvisioning();
	const concurrency = new FunctionConcurrency({
		records,
		serving: (name, version) => functions.serving(name, version),
		provisioning,
		clock: systemClock,
		accountConcurrency: 1000,
	});
	concurrency.restore();
	if (records.count === 0) {
		await activeFunction(opened);
		await versions.publish("f", {});
		await functions.updateCode("f", { imageUri: imageUri(2) });
		await functions.settled();
		await versions.publish("f", {});
		await versions.createAlias("f", "live", { version: "1" });
		await activeFunction(opened, "g");
	}
	return { ...opened, versions, provisioning, concurrency };
}

test("reserved concurrency: 100 of the account stay unreserved, 0 throttles, nothing shares", async () => {
	const { functions, concurrency } = await open();
	assert.deepEqual([concurrency.unreserved, concurrency.reserved("f")], [1000, undefined]);
	const tooMuch = failsWith(
		"INVALID",
		"Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].",
	);
	await assert.rejects(concurrency.reserve("f", 901), tooMuch);
	await concurrency.reserve("f", 900);
	assert.deepEqual([concurrency.unreserved, concurrency.reserved("f")], [100, 900]);
	await assert.rejects(concurrency.reserve("g", 1), tooMuch);
	await concurrency.reserve("g", 0);
	await concurrency.reserve("f", 500);
	assert.deepEqual([concurrency.unreserved, concurrency.reserved("g")], [500, 0]);
	await concurrency.unreserve("f");
	await concurrency.unreserve("f");
	assert.equal(concurrency.unreserved, 1000);
	await concurrency.reserve("f", 10);
	await functions.delete("f");
	assert.deepEqual([concurrency.unreserved, concurrency.reserved("f")], [1000, undefined]);
	await assert.rejects(concurrency.reserve("f", 1), failsWith("NOT_FOUND", `Function not found: ${arn}:$LATEST`));
	await assert.rejects(
		concurrency.reserve("g", -1),
		failsWith("INVALID", /greater than or equal to 0$/, "ValidationException"),
	);
});

test("two functions that reserve at once can't have more than there is", async () => {
	const { concurrency } = await open();
	const settled = await Promise.allSettled([concurrency.reserve("f", 500), concurrency.reserve("g", 500)]);
	assert.deepEqual(
		settled.map(({ status }) => status),
		["fulfilled", "rejected"],
	);
	assert.equal(concurrency.unreserved, 500);
});

test("provisioned concurrency of a version goes from nothing to ready, or failed with the reason", async () => {
	const { concurrency, provisioning } = await open();
	const put = await concurrency.provision("f", "1", 5);
	assert.deepEqual(
		{ ...put, lastModifiedMs: 0 },
		{ requested: 5, allocated: 0, available: 0, status: "IN_PROGRESS", statusReason: undefined, lastModifiedMs: 0 },
	);
	assert.deepEqual(provisioning.takeCalls(), ["f:1=5"]);
	assert.equal(concurrency.unreserved, 995);
	assert.deepEqual([concurrency.provisioned("f", "1").allocated, concurrency.provisioned("f", "1").available], [5, 0]);
	provisioning.ready = true;
	assert.deepEqual(
		[concurrency.provisioned("f", "1").available, concurrency.provisioned("f", "1").status],
		[5, "READY"],
	);
	provisioning.failure = "FUNCTION_ERROR_INIT_FAILURE";
	assert.deepEqual(
		[concurrency.provisioned("f", "1").status, concurrency.provisioned("f", "1").statusReason],
		["FAILED", provisioning.failure],
	);
	await concurrency.provision("f", "1", 2);
	assert.deepEqual([provisioning.takeCalls(), concurrency.unreserved], [["f:1=2"], 998]);
	assert.deepEqual(
		concurrency.listProvisioned("f").map(({ qualifier, view }) => [qualifier, view.requested]),
		[["1", 2]],
	);
	await concurrency.unprovision("f", "1");
	await concurrency.unprovision("f", "1");
	assert.deepEqual([provisioning.takeCalls(), concurrency.unreserved], [["f:1=0"], 1000]);
	assert.throws(
		() => concurrency.provisioned("f", "1"),
		failsWith(
			"NOT_FOUND",
			"No Provisioned Concurrency Config found for this function",
			"ProvisionedConcurrencyConfigNotFoundException",
		),
	);
	assert.deepEqual(concurrency.listProvisioned("f"), []);
});

test("provisioned sandboxes follow the alias, and both versions have their share while it is weighted", async () => {
	const { concurrency, provisioning, versions } = await open();
	await concurrency.provision("f", "live", 10);
	assert.deepEqual(provisioning.takeCalls(), ["f:1=10"]);
	await versions.updateAlias("f", "live", { description: "nothing else" });
	assert.deepEqual(provisioning.takeCalls(), []);
	await versions.updateAlias("f", "live", { routing: { version: "2", weight: 0.25 } });
	assert.deepEqual(provisioning.takeCalls(), ["f:1=8", "f:2=2"]);
	assert.deepEqual([concurrency.provisioned("f", "live").allocated, concurrency.unreserved], [10, 990]);
	await versions.updateAlias("f", "live", { version: "2", routing: null });
	assert.deepEqual(provisioning.takeCalls(), ["f:1=0", "f:2=10"]);
	await versions.deleteAlias("f", "live");
	assert.deepEqual([provisioning.takeCalls(), concurrency.unreserved], [["f:2=0"], 1000]);
	assert.throws(
		() => concurrency.provisioned("f", "live"),
		failsWith("NOT_FOUND", `Cannot find alias arn: ${arn}:live`),
	);
});

test("is there again after a restart, and after its image was restored", async () => {
	const store = new FakeFunctionStore();
	const first = await open(store);
	await first.concurrency.provision("f", "live", 3);
	await first.concurrency.reserve("g", 7);
	const { functions, images, provisioning, concurrency } = await open(store);
	assert.deepEqual([provisioning.takeCalls(), concurrency.unreserved], [["f:1=3"], 990]);
	images.hold = true;
	await functions.codeGone(functions.revision("f", "1"));
	assert.deepEqual(provisioning.takeCalls(), ["f:1=0"]);
	images.waiting[0]?.finish();
	await functions.settled();
	assert.deepEqual(provisioning.takeCalls(), ["f:1=3"]);
	await functions.delete("f");
	assert.deepEqual([provisioning.takeCalls(), concurrency.unreserved], [["f:1=0"], 993]);
});

test("refuses in the cloud's words", async () => {
	const { concurrency, versions, provisioning } = await open();
	await versions.createAlias("f", "latest", { version: "$LATEST" });
	const unpublished = "Provisioned Concurrency Configs cannot be applied to unpublished function versions.";
	const provision = (qualifier: string, executions = 1, name = "f") =>
		concurrency.provision(name, qualifier, executions);
	for (const [making, code, message, reason] of [
		[
			() => provision("1", 0),
			"INVALID",
			"1 validation error detected: Value '0' at 'provisionedConcurrentExecutions' failed to satisfy constraint: Member must have value greater than or equal to 1",
			"ValidationException",
		],
		[() => provision("$LATEST"), "INVALID", unpublished],
		[() => provision("latest"), "INVALID", unpublished],
		[() => provision("10"), "NOT_FOUND", `Function not found: ${arn}:10`],
		[() => provision("none"), "NOT_FOUND", `Cannot find alias arn: ${arn}:none`],
		[() => provision("none", 1, "h"), "NOT_FOUND", `Cannot find alias arn: ${arn.slice(0, -1)}h:none`],
		[() => provision("1", 1, "h"), "NOT_FOUND", `Function not found: ${arn.slice(0, -1)}h:1`],
		[
			() => provision("1", 1001),
			"INVALID",
			"Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [1000].",
		],
		[
			() => provision("1", 901),
			"INVALID",
			"Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].",
		],
		[
			async () => concurrency.provisioned("f", "$LATEST"),
			"INVALID",
			"The function resource provided must be an alias or a published version.",
		],
		[
			() => concurrency.unprovision("f", "$LATEST"),
			"INVALID",
			"The function resource provided must be an alias or a published version.",
		],
		[() => concurrency.unprovision("f", "10"), "NOT_FOUND", `Function not found: ${arn}:10`],
		[() => concurrency.unprovision("f", "none"), "NOT_FOUND", `Cannot find alias arn: ${arn}:none`],
		[async () => concurrency.listProvisioned("h"), "NOT_FOUND", `Function not found: ${arn.slice(0, -1)}h`],
	] as const)
		await assert.rejects(making, failsWith(code, message, reason));
	assert.deepEqual(provisioning.calls, []);

	await provision("1", 5);
	await assert.rejects(
		provision("live"),
		failsWith(
			"CONFLICT",
			"Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
		),
	);
	await concurrency.unprovision("f", "1");
	await provision("live", 5);
	await assert.rejects(provision("1"), failsWith("CONFLICT", "Version is pointed by a Provisioned Concurrency alias"));
	await assert.rejects(
		concurrency.reserve("f", 4),
		failsWith(
			"INVALID",
			" ReservedConcurrentExecutions  4 should not be lower than function's total provisioned concurrency [5].",
		),
	);
	await concurrency.reserve("f", 6);
	assert.equal(concurrency.unreserved, 994, "what is provisioned is part of what is reserved");
	await assert.rejects(
		provision("2", 2),
		failsWith(
			"INVALID",
			"Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function",
		),
	);
	await provision("2", 1);
});
