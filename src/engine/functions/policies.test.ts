import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeFunctionStore } from "../../core/function/fake-function-store.ts";
import type { PolicyStatement } from "../../core/function/function.ts";
import { activeFunction, arn, failsWith, openFunctions } from "../testing/functions.ts";
import { FunctionPolicies, maxPolicyBytes } from "./policies.ts";
import { policyDocument } from "./policy-document.ts";
import { FunctionVersions } from "./versions.ts";

const s3: PolicyStatement = {
	sid: "s3",
	action: "lambda:InvokeFunction",
	principal: "s3.amazonaws.com",
	sourceArn: "arn:aws:s3:::bucket-*",
};

async function open(store = new FakeFunctionStore()) {
	const opened = await openFunctions({ store });
	const versions = new FunctionVersions(opened);
	if (!opened.records.find("f")) {
		await activeFunction(opened);
		await versions.publish("f", {});
		await versions.createAlias("f", "live", { version: "1" });
	}
	return { ...opened, versions, policies: new FunctionPolicies(opened) };
}

test("a policy's revision id is that of what it belongs to, and both change with it", async () => {
	const { functions, versions, policies } = await open();
	const of = {
		"": () => functions.get("f").revisionId,
		"1": () => versions.get("f", "1").revisionId,
		live: () => versions.getAlias("f", "live").revisionId,
	};
	for (const [qualifier, revisionId] of Object.entries(of)) {
		const others = Object.entries(of).filter(([other]) => other !== qualifier);
		const before = others.map(([, id]) => id());
		const first = revisionId();
		const added = await policies.add("f", qualifier, s3, first);
		assert.deepEqual(added.statements, [s3]);
		assert.equal(added.revisionId, revisionId());
		assert.notEqual(added.revisionId, first);
		assert.deepEqual(
			others.map(([, id]) => id()),
			before,
			"what belongs to others keeps its own",
		);
		await assert.rejects(
			policies.add("f", qualifier, { ...s3, sid: "other" }, first),
			failsWith("PRECONDITION", /Call the GetPolicy API/),
		);
	}
	await functions.tag("f", { a: "1" });
	assert.equal(policies.get("f", "").revisionId, functions.get("f").revisionId);
	await assert.rejects(
		policies.remove("f", "", "s3", "old"),
		failsWith("PRECONDITION", /Call the GetFunction\/GetAlias API/),
	);
	await policies.remove("f", "", "s3", functions.get("f").revisionId);
	assert.throws(() => policies.get("f", ""), failsWith("NOT_FOUND", "The resource you requested does not exist."));
	assert.deepEqual(policies.get("f", "1").statements, [s3]);
});

test("refuses in the cloud's words", async () => {
	const { policies } = await open();
	await policies.add("f", "", s3);
	const unknown = (principal: string) => policies.add("f", "", { ...s3, sid: "x", principal });
	for (const [making, code, message, reason] of [
		[
			policies.add("f", "", s3),
			"ALREADY_EXISTS",
			"The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing statement.",
		],
		[policies.add("f", "$LATEST", s3), "INVALID", "We currently do not support adding policies for $LATEST."],
		[policies.add("g", "", s3), "NOT_FOUND", `Function not found: ${arn.slice(0, -1)}g`],
		[policies.add("f", "42", s3), "NOT_FOUND", `Function not found: ${arn}:42`],
		[policies.add("f", "none", s3), "NOT_FOUND", `Cannot find alias arn: ${arn}:none`],
		[policies.add("f", "valid-with-$-but-not", s3), "NOT_FOUND", `Function not found: ${arn}:valid-with-$-but-not`],
		[
			unknown("invalid.nonaws.com"),
			"INVALID",
			"The provided principal was invalid. Please check the principal and try again.",
		],
		[unknown("12345"), "INVALID", /principal was invalid/],
		[unknown("arn:aws:s3:::bucket"), "INVALID", /principal was invalid/],
		[
			policies.add("f", "", { ...s3, sid: "s 3" }),
			"INVALID",
			/at 'statementId' failed.*\(\[a-zA-Z0-9-_\]\+\)$/,
			"ValidationException",
		],
		[
			policies.add("f", "", { ...s3, sid: "x", action: "s3:GetObject" }),
			"INVALID",
			/at 'action'/,
			"ValidationException",
		],
		[
			policies.add("f", "", { ...s3, sid: "x", functionUrlAuthType: "NONE" }),
			"INVALID",
			"FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action",
		],
		[policies.remove("f", "", "none"), "NOT_FOUND", "Statement none is not found in resource policy."],
		[policies.remove("f", "1", "s3"), "NOT_FOUND", "No policy is associated with the given resource."],
		[policies.remove("f", "none", "s3"), "NOT_FOUND", `Cannot find alias arn: ${arn}:none`],
		[policies.remove("g", "", "s3"), "NOT_FOUND", `No policy found for: ${arn.slice(0, -1)}g`],
	] as const)
		await assert.rejects(making, failsWith(code, message, reason));
	for (const [i, principal] of [
		"*",
		"123456789012",
		"arn:aws:iam::123456789012:root",
		"arn:aws:iam::123456789012:role/a/b",
		"events.amazonaws.com",
		"alexa-appkit.amazon.com",
	].entries())
		await policies.add("f", "", { sid: `p${i}`, action: "lambda:InvokeFunction", principal });
});

test("a policy ends at 20 KB, to the byte", async () => {
	const { policies } = await open();
	const size = (statements: PolicyStatement[]) => Buffer.byteLength(JSON.stringify(policyDocument(statements, arn)));
	const first = { ...s3, sourceArn: "" };
	const fits = { ...first, sourceArn: "x".repeat(maxPolicyBytes - size([first])) };
	await assert.rejects(
		policies.add("f", "", { ...fits, sourceArn: `${fits.sourceArn}x` }),
		failsWith(
			"INVALID",
			"The final policy size (20481) is bigger than the limit (20480).",
			"PolicyLengthExceededException",
		),
	);
	await policies.add("f", "", fits);
});

test("goes with its alias or version, and comes back after a restart", async () => {
	const store = new FakeFunctionStore();
	const first = await open(store);
	await first.policies.add("f", "live", s3);
	await first.policies.add("f", "1", s3);
	const { policies, versions, functions } = await open(store);
	assert.deepEqual(policies.get("f", "1").statements, [s3]);
	await versions.deleteAlias("f", "live");
	await versions.delete("f", "1");
	assert.deepEqual(functions.get("f").policies, {});
	assert.throws(() => policies.get("f", "live"), failsWith("NOT_FOUND"));
});

test("the document is the one that the cloud shows", () => {
	const url: PolicyStatement = {
		sid: "url",
		action: "lambda:InvokeFunctionUrl",
		principal: "*",
		functionUrlAuthType: "NONE",
	};
	const account: PolicyStatement = {
		sid: "a",
		action: "lambda:InvokeFunction",
		principal: "210987654321",
		sourceAccount: "1",
		invokedViaFunctionUrl: true,
	};
	assert.deepEqual(policyDocument([s3, url, account], arn), {
		Version: "2012-10-17",
		Id: "default",
		Statement: [
			{
				Sid: "s3",
				Effect: "Allow",
				Principal: { Service: "s3.amazonaws.com" },
				Action: "lambda:InvokeFunction",
				Resource: arn,
				Condition: { ArnLike: { "AWS:SourceArn": "arn:aws:s3:::bucket-*" } },
			},
			{
				Sid: "url",
				Effect: "Allow",
				Principal: "*",
				Action: "lambda:InvokeFunctionUrl",
				Resource: arn,
				Condition: { StringEquals: { "lambda:FunctionUrlAuthType": "NONE" } },
			},
			{
				Sid: "a",
				Effect: "Allow",
				Principal: { AWS: "arn:aws:iam::210987654321:root" },
				Action: "lambda:InvokeFunction",
				Resource: arn,
				Condition: { StringEquals: { "AWS:SourceAccount": "1" }, Bool: { "lambda:InvokedViaFunctionUrl": "true" } },
			},
		],
	});
});

test("anybody may call a URL only with both permissions, on the same function or alias", async () => {
	const { policies } = await open();
	const url: PolicyStatement = {
		sid: "url",
		action: "lambda:InvokeFunctionUrl",
		principal: "*",
		functionUrlAuthType: "NONE",
	};
	const invoke: PolicyStatement = {
		sid: "invoke",
		action: "lambda:InvokeFunction",
		principal: "*",
		invokedViaFunctionUrl: true,
	};
	assert.equal(policies.allowsAnybody("f", ""), false);
	await policies.add("f", "", url);
	assert.equal(policies.allowsAnybody("f", ""), false, "a URL alone, as before October 2025");
	await policies.add("f", "", invoke);
	assert.deepEqual(
		[policies.allowsAnybody("f", ""), policies.allowsAnybody("f", "live"), policies.allowsAnybody("g", "")],
		[true, false, false],
	);
	await policies.remove("f", "", "url");
	await policies.add("f", "", { ...url, functionUrlAuthType: "AWS_IAM" });
	assert.equal(policies.allowsAnybody("f", ""), false);
});

test("evaluates action, principal and every condition", async () => {
	const { policies } = await open();
	const statement = async (change: Partial<PolicyStatement>) => {
		await policies.add("f", "", { sid: "s", action: "lambda:InvokeFunction", principal: "*", ...change });
	};
	const allowed = (request: {
		principal?: string;
		action?: string;
		sourceArn?: string;
		sourceAccount?: string;
		principalOrgId?: string;
		eventSourceToken?: string;
	}) => policies.allows("f", "", { action: "lambda:InvokeFunction", principal: "*", ...request });
	const cases: [Partial<PolicyStatement>, Parameters<typeof allowed>[0][], Parameters<typeof allowed>[0][]][] = [
		[{ action: "lambda:*" }, [{}, { action: "lambda:GetFunction" }], [{ action: "s3:GetObject" }]],
		[{ action: "*" }, [{ action: "s3:GetObject" }], []],
		[{}, [{ principal: "arn:aws:iam::210987654321:user/u" }], [{ action: "lambda:InvokeFunctionUrl" }]],
		[
			{ principal: "210987654321" },
			[
				{ principal: "210987654321" },
				{ principal: "arn:aws:iam::210987654321:user/u" },
				{ principal: "arn:aws:sts::210987654321:assumed-role/r/s" },
			],
			[{}, { principal: "123456789012" }, { principal: "arn:aws:iam::123456789012:user/210987654321" }],
		],
		[{ principal: "arn:aws:iam::210987654321:root" }, [{ principal: "210987654321" }], [{}]],
		[
			{ principal: "arn:aws:iam::210987654321:user/u" },
			[{ principal: "arn:aws:iam::210987654321:user/u" }],
			[{ principal: "210987654321" }, {}],
		],
		[{ principal: "s3.amazonaws.com" }, [{ principal: "s3.amazonaws.com" }], [{ principal: "sns.amazonaws.com" }]],
		[
			{ sourceArn: "arn:aws:sqs:*:210987654321:queue-?" },
			[{ sourceArn: "arn:aws:sqs:eu-west-1:210987654321:queue-a" }],
			[
				{},
				{ sourceArn: "arn:aws:sqs:eu-west-1:x:210987654321:queue-a" },
				{ sourceArn: "arn:aws:sqs:eu-west-1:210987654321:queue-" },
			],
		],
		[
			{ sourceArn: "arn:aws:s3:::b*x*y" },
			[{ sourceArn: "arn:aws:s3:::b--x-xx-y" }],
			[{ sourceArn: "arn:aws:s3:::b--y-x" }],
		],
		[
			{ sourceAccount: "1", principalOrgId: "o", eventSourceToken: "t" },
			[{ sourceAccount: "1", principalOrgId: "o", eventSourceToken: "t" }],
			[
				{ sourceAccount: "1", principalOrgId: "o" },
				{ sourceAccount: "2", principalOrgId: "o", eventSourceToken: "t" },
			],
		],
	];
	for (const [change, yes, no] of cases) {
		await statement(change);
		for (const request of yes) assert.equal(allowed(request), true, JSON.stringify([change, request]));
		for (const request of no) assert.equal(allowed(request), false, JSON.stringify([change, request]));
		await policies.remove("f", "", "s");
	}
});

test("a pattern of stars takes no time", async () => {
	const { policies } = await open();
	await policies.add("f", "", { ...s3, principal: "*", sourceArn: `arn:aws:s3:::${"*a".repeat(5000)}` });
	const began = performance.now();
	const request = { action: "lambda:InvokeFunction", principal: "*", sourceArn: `arn:aws:s3:::${"a".repeat(4999)}b` };
	assert.equal(policies.allows("f", "", request), false);
	assert.ok(performance.now() - began < 500);
});
