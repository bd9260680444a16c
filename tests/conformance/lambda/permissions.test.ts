import assert from "node:assert/strict";
import { describe } from "node:test";
import {
	AddPermissionCommand,
	type AddPermissionCommandInput,
	CreateAliasCommand,
	GetPolicyCommand,
	RemovePermissionCommand,
} from "@aws-sdk/client-lambda";
import { testAccount } from "../../../src/front/aws/test-front.ts";
import { clause } from "./clause.ts";
import {
	api,
	arnOf,
	conflict,
	guide,
	invalid,
	notFound,
	publish,
	recorded,
	refused,
	start,
	validation,
} from "./control-api.ts";

const area = "Permissions";
const FunctionName = "f";
const resource = arnOf("f");
const action = "lambda:InvokeFunction";

const add = (StatementId: string, more: Partial<AddPermissionCommandInput> = {}) =>
	new AddPermissionCommand({ FunctionName, StatementId, Action: action, Principal: "s3.amazonaws.com", ...more });
const remove = (StatementId: string, more: { FunctionName?: string; Qualifier?: string; RevisionId?: string } = {}) =>
	new RemovePermissionCommand({ FunctionName, StatementId, ...more });
const allow = (Sid: string, Principal: unknown, Condition?: object) => ({
	Sid,
	Effect: "Allow",
	Principal,
	Action: action,
	Resource: resource,
	...(Condition && { Condition }),
});

async function withVersionAndAlias() {
	const test = await start("f");
	await publish(test, "f", 1);
	await test.client.send(new CreateAliasCommand({ FunctionName, Name: "live", FunctionVersion: "1" }));
	return test;
}

describe("Permissions", () => {
	clause(
		{
			area,
			says: "AddPermission answers with its statement, and GetPolicy with all of them, as JSON text in AWS's form",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			const SourceArn = "arn:aws:s3:::bucket";
			const added = await test.client.send(add("s3", { SourceArn }));
			const statement = allow("s3", { Service: "s3.amazonaws.com" }, { ArnLike: { "AWS:SourceArn": SourceArn } });
			assert.deepEqual([added.$metadata.httpStatusCode, added.Statement], [201, JSON.stringify(statement)]);
			const second = await test.client.send(add("sqs", { Principal: "sqs.amazonaws.com" }));
			const { Policy, RevisionId } = await test.client.send(new GetPolicyCommand({ FunctionName }));
			assert.equal(
				Policy,
				JSON.stringify({
					Version: "2012-10-17",
					Id: "default",
					Statement: [statement, JSON.parse(second.Statement ?? "")],
				}),
			);
			assert.match(RevisionId ?? "", /^[0-9a-f-]{36}$/);
		},
	);

	clause(
		{
			area,
			says: "Accounts, ARNs, services and everyone are principals, and each condition has its own operator and key",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			const cases: [Partial<AddPermissionCommandInput>, unknown][] = [
				[{ Principal: testAccount }, allow("0", { AWS: `arn:aws:iam::${testAccount}:root` })],
				[
					{ Principal: `arn:aws:iam::${testAccount}:user/u` },
					allow("1", { AWS: `arn:aws:iam::${testAccount}:user/u` }),
				],
				[
					{ Principal: "lambda.amazonaws.com", SourceAccount: testAccount },
					allow("2", { Service: "lambda.amazonaws.com" }, { StringEquals: { "AWS:SourceAccount": testAccount } }),
				],
				[
					{ Principal: "alexa-appkit.amazon.com", EventSourceToken: "amzn1.ask.skill.x-y" },
					allow(
						"3",
						{ Service: "alexa-appkit.amazon.com" },
						{ StringEquals: { "lambda:EventSourceToken": "amzn1.ask.skill.x-y" } },
					),
				],
				[
					{
						Principal: "*",
						Action: "lambda:InvokeFunctionUrl",
						FunctionUrlAuthType: "NONE",
						PrincipalOrgID: "o-1234567890",
						SourceAccount: testAccount,
						SourceArn: "arn:aws:s3:::bucket",
					},
					{
						...allow("4", "*", {
							StringEquals: {
								"AWS:SourceAccount": testAccount,
								"lambda:FunctionUrlAuthType": "NONE",
								"aws:PrincipalOrgID": "o-1234567890",
							},
							ArnLike: { "AWS:SourceArn": "arn:aws:s3:::bucket" },
						}),
						Action: "lambda:InvokeFunctionUrl",
					},
				],
			];
			for (const [index, [input, statement]] of cases.entries()) {
				const { Statement } = await test.client.send(add(String(index), input));
				assert.deepEqual(JSON.parse(Statement ?? ""), statement);
			}
		},
	);

	clause(
		{
			area,
			says: "InvokedViaFunctionUrl becomes a condition on lambda:InvokedViaFunctionUrl",
			source: guide("urls-auth"),
		},
		async () => {
			await using test = await start("f");
			const { Statement } = await test.client.send(add("url", { Principal: "*", InvokedViaFunctionUrl: true }));
			assert.deepEqual(
				JSON.parse(Statement ?? ""),
				allow("url", "*", { Bool: { "lambda:InvokedViaFunctionUrl": "true" } }),
			);
		},
	);

	clause(
		{
			area,
			says: "A function, each version and each alias has a policy of its own, whose resource is its ARN",
			source: recorded,
		},
		async () => {
			await using test = await withVersionAndAlias();
			await test.client.send(add("of-function"));
			await test.client.send(add("of-version", { Qualifier: "1" }));
			await test.client.send(add("of-alias", { FunctionName: "f:live" }));
			for (const [qualifier, sid] of [
				["", "of-function"],
				[":1", "of-version"],
				[":live", "of-alias"],
			] as const) {
				const { Policy } = await test.client.send(new GetPolicyCommand({ FunctionName: `f${qualifier}` }));
				const { Statement } = JSON.parse(Policy ?? "") as { Statement: { Sid: string; Resource: string }[] };
				assert.deepEqual(
					Statement.map(({ Sid, Resource }) => [Sid, Resource]),
					[[sid, resource + qualifier]],
				);
			}
		},
	);

	clause({ area, says: "AddPermission refuses a statement id that is there with 409", source: recorded }, async () => {
		await using test = await start("f");
		await test.client.send(add("s3"));
		await refused(
			test.client.send(add("s3", { Principal: "*" })),
			409,
			conflict,
			"The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing statement.",
		);
	});

	clause(
		{
			area,
			says: "AddPermission refuses $LATEST, another qualifier than the name's, what is no principal, and ids out of pattern",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			await refused(
				test.client.send(add("s", { Qualifier: "$LATEST" })),
				400,
				invalid,
				"We currently do not support adding policies for $LATEST.",
			);
			await refused(
				test.client.send(add("s", { FunctionName: "f:live", Qualifier: "1" })),
				400,
				invalid,
				"The derived qualifier from the function name does not match the specified qualifier.",
			);
			for (const Principal of ["invalid.nonaws.com", "me", "12345"])
				await refused(
					test.client.send(add("s", { Principal })),
					400,
					invalid,
					"The provided principal was invalid. Please check the principal and try again.",
				);
			await refused(
				test.client.send(add("example.com")),
				400,
				validation,
				"1 validation error detected: Value 'example.com' at 'statementId' failed to satisfy constraint: Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)",
			);
			await refused(
				test.client.send(add("s", { Qualifier: "invalid-qualifier-with-?-char" })),
				400,
				validation,
				"1 validation error detected: Value 'invalid-qualifier-with-?-char' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: \\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+",
			);
			await refused(test.client.send(new GetPolicyCommand({ FunctionName })), 404, notFound, /does not exist/);
		},
	);

	clause(
		{
			area,
			says: "AddPermission names what is not there by its form: a function's or version's ARN, or an alias's",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			await refused(
				test.client.send(add("s", { FunctionName: "g" })),
				404,
				notFound,
				`Function not found: ${arnOf("g")}`,
			);
			await refused(
				test.client.send(add("s", { Qualifier: "none" })),
				404,
				notFound,
				`Cannot find alias arn: ${resource}:none`,
			);
			for (const Qualifier of ["42", "valid-with-$-but-none"])
				await refused(
					test.client.send(add("s", { Qualifier })),
					404,
					notFound,
					`Function not found: ${resource}:${Qualifier}`,
				);
		},
	);

	clause(
		{ area, says: "GetPolicy of what has no policy, or is not there, is the same 404", source: recorded },
		async () => {
			await using test = await start("f");
			for (const name of ["f", "f:42", "f:none", "g"])
				await refused(
					test.client.send(new GetPolicyCommand({ FunctionName: name })),
					404,
					notFound,
					"The resource you requested does not exist.",
				);
		},
	);

	clause(
		{ area, says: "RemovePermission takes a statement away, and the policy with the last one", source: recorded },
		async () => {
			await using test = await start("f");
			await test.client.send(add("a"));
			await test.client.send(add("b"));
			const gone = await test.client.send(remove("a"));
			assert.equal(gone.$metadata.httpStatusCode, 204);
			await refused(test.client.send(remove("a")), 404, notFound, "Statement a is not found in resource policy.");
			await test.client.send(remove("b"));
			await refused(
				test.client.send(new GetPolicyCommand({ FunctionName })),
				404,
				notFound,
				"The resource you requested does not exist.",
			);
			await refused(test.client.send(remove("b")), 404, notFound, "No policy is associated with the given resource.");
		},
	);

	clause(
		{ area, says: "RemovePermission says which is missing: the function's policy or the alias", source: recorded },
		async () => {
			await using test = await start("f");
			await refused(
				test.client.send(remove("s", { FunctionName: "g" })),
				404,
				notFound,
				`No policy found for: ${arnOf("g")}`,
			);
			await refused(
				test.client.send(remove("s", { Qualifier: "none" })),
				404,
				notFound,
				`Cannot find alias arn: ${resource}:none`,
			);
		},
	);

	clause(
		{ area, says: "A policy has a RevisionId, and another one is refused with 412", source: recorded },
		async () => {
			await using test = await start("f");
			await test.client.send(add("a"));
			const { RevisionId } = await test.client.send(new GetPolicyCommand({ FunctionName }));
			const words =
				"The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id";
			await refused(test.client.send(add("b", { RevisionId: "wrong" })), 412, "PreconditionFailedException", words);
			await refused(
				test.client.send(remove("a", { RevisionId: "wrong" })),
				412,
				"PreconditionFailedException",
				words.replace("GetPolicy", "GetFunction/GetAlias"),
			);
			await test.client.send(add("b", { RevisionId }));
			const after = await test.client.send(new GetPolicyCommand({ FunctionName }));
			assert.notEqual(after.RevisionId, RevisionId);
		},
	);

	clause(
		{ area, says: "A policy grows up to 20 KB: PolicyLengthExceededException", source: api("AddPermission") },
		async () => {
			await using test = await start("f");
			const SourceArn = `arn:aws:s3:::${"b".repeat(4000)}`;
			for (let i = 0; i < 4; i++) await test.client.send(add(`s${i}`, { SourceArn }));
			await refused(
				test.client.send(add("last", { SourceArn })),
				400,
				"PolicyLengthExceededException",
				/^The final policy size \(\d{5}\) is bigger than the limit \(20480\)\.$/,
			);
		},
	);
});
