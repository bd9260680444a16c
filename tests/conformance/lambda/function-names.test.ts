/**
 * The Lambda control API and Invoke as AWS's own SDK and recorded answers have them
 * (https://docs.aws.amazon.com/lambda/latest/api/, and the error texts AWS was recorded with).
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GetFunctionCommand, GetFunctionConfigurationCommand } from "@aws-sdk/client-lambda";
import { testAccount, testRegion } from "../../../src/front/aws/test-front.ts";

import { arnOf, create, refused, start } from "./control-api.ts";

describe("Functions: names and qualifiers", () => {
	it("MUST take names, partial ARNs and ARNs, with $LATEST or without", async () => {
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
			assert.equal(got.FunctionArn, arnOf("f"), name);
		}
	});

	it("MUST refuse every other", async () => {
		await using test = await start("f");
		const get = (name: string, qualifier?: string) =>
			test.client.send(new GetFunctionCommand({ FunctionName: name, ...(qualifier && { Qualifier: qualifier }) }));
		const notFound = "ResourceNotFoundException";
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
		await refused(test.client.send(create("x".repeat(65))), 400, "ValidationException", /less than or equal to 64/);
		await refused(test.client.send(create("x".repeat(141))), 400, "ValidationException", /less than or equal to 140/);
	});
});
