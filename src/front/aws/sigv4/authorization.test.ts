import assert from "node:assert/strict";
import { it } from "node:test";
import { AwsError } from "../errors.ts";
import { readAuthorization } from "./authorization.ts";

const authorization = `AWS4-HMAC-SHA256 Credential=AKID/20261121/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=${"0".repeat(64)}`;

// The first that the process reads, when nothing is remembered yet.
it("refuses an empty date", () => {
	const rawHeaders = ["Authorization", authorization, "X-Amz-Date", ""];
	assert.throws(
		() => readAuthorization({ method: "GET", path: "/", query: "", rawHeaders }),
		(error) => error instanceof AwsError && /ISO-8601 'basic format'. Got ''/.test(error.message),
	);
});
