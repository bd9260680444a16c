import assert from "node:assert/strict";
import { describe } from "node:test";
import { GetFunctionCommand, GetFunctionConfigurationCommand } from "@aws-sdk/client-lambda";
import { testAccount, testRegion } from "../../../src/front/aws/test-front.ts";

import { clause } from "./clause.ts";
import { arnOf, create, notFound, recorded, refused, start } from "./control-api.ts";

const area = "Functions";

describe("Functions: names and qualifiers", () => {
	clause(
		{
			area,
			says: "Functions are named by name, partial ARN or ARN, and shown under the ARN with the qualifier that was used",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			for (const name of [
				"f",
				"f:$LATEST",
				`${testAccount}:function:f`,
				`${testAccount}:f`,
				"function:f",
				arnOf("f"),
				`${arnOf("f")}:$LATEST`,
			]) {
				const got = await test.client.send(new GetFunctionConfigurationCommand({ FunctionName: name }));
				assert.equal(got.FunctionArn, name.endsWith("$LATEST") ? `${arnOf("f")}:$LATEST` : arnOf("f"), name);
			}
		},
	);

	clause(
		{
			area,
			says: "A name out of pattern, of another region or account, or with two different qualifiers is refused in AWS's words",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			const get = (name: string, qualifier?: string) =>
				test.client.send(new GetFunctionCommand({ FunctionName: name, ...(qualifier && { Qualifier: qualifier }) }));
			await refused(get("f", "1"), 404, notFound, `Function not found: ${arnOf("f")}:1`);
			await refused(get("f:prod"), 404, notFound, `Function not found: ${arnOf("f")}:prod`);
			await refused(
				get("f:prod", "1"),
				400,
				"InvalidParameterValueException",
				"The derived qualifier from the function name does not match the specified qualifier.",
			);
			await refused(
				get(arnOf("f").replace(testRegion, "eu-west-1")),
				404,
				notFound,
				`Functions from 'eu-west-1' are not reachable in this region ('${testRegion}')`,
			);
			await refused(
				get(arnOf("f").replace(testAccount, "999999999999")),
				403,
				"AccessDeniedException",
				/is not authorized to perform: lambda:GetFunction/,
			);
			await refused(
				get("a b"),
				400,
				"ValidationException",
				/^1 validation error detected: Value 'a b' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: /,
			);
			await refused(get("f", "a b"), 400, "ValidationException", /'qualifier'/);
			const long = "x".repeat(65);
			await refused(get(long), 404, notFound, `Function not found: ${arnOf(long)}`);
			await refused(
				test.client.send(create(long)),
				400,
				"InvalidParameterValueException",
				`1 validation error detected: Value '${long}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64`,
			);
			await refused(test.client.send(create("x".repeat(141))), 400, "ValidationException", /less than or equal to 140/);
		},
	);
});
