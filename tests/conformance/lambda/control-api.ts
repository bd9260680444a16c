/**
 * The Lambda control API and Invoke as AWS's own SDK and recorded answers have them
 * (https://docs.aws.amazon.com/lambda/latest/api/, and the error texts AWS was recorded with).
 */
import assert from "node:assert/strict";
import {
	CreateFunctionCommand,
	type CreateFunctionCommandInput,
	LambdaClient,
	LambdaServiceException,
	PublishVersionCommand,
	UpdateFunctionConfigurationCommand,
	waitUntilFunctionUpdatedV2,
} from "@aws-sdk/client-lambda";
import {
	type RawOptions,
	rawRequest,
	startTestFront,
	type TestFront,
	testAccount,
	testKeys,
	testRegion,
	testRole,
} from "../../../src/front/aws/test-front.ts";

/** What AWS answered when it was asked. */
export const recorded =
	"https://github.com/localstack/localstack/blob/main/tests/aws/services/lambda_/test_lambda_api.snapshot.json";
export const api = (operation: string) => `https://docs.aws.amazon.com/lambda/latest/api/API_${operation}.html`;
export const guide = (page: string) => `https://docs.aws.amazon.com/lambda/latest/dg/${page}.html`;

/** Error names. */
export const notFound = "ResourceNotFoundException";
export const invalid = "InvalidParameterValueException";
export const conflict = "ResourceConflictException";
export const validation = "ValidationException";

/** The SDK's waiters poll each second; these tests have no second to lose. */
export const waiting = (client: LambdaClient) => ({ client, maxWaitTime: 10, minDelay: 0.02, maxDelay: 0.05 });

export const arnOf = (name: string) => `arn:aws:lambda:${testRegion}:${testAccount}:function:${name}`;
export const imageUri = "localhost:4747/app:latest";
export const create = (name: string, more: Partial<CreateFunctionCommandInput> = {}) =>
	new CreateFunctionCommand({
		FunctionName: name,
		Role: testRole,
		PackageType: "Image",
		Code: { ImageUri: imageUri },
		...more,
	});

export async function start(...names: string[]): Promise<{ front: TestFront; client: LambdaClient } & AsyncDisposable> {
	const front = await startTestFront();
	const client = new LambdaClient({ endpoint: front.url, region: testRegion, credentials: testKeys, maxAttempts: 1 });
	for (const name of names) await client.send(create(name));
	await front.functions.settled();
	return {
		front,
		client,
		async [Symbol.asyncDispose]() {
			client.destroy();
			await front[Symbol.asyncDispose]();
		},
	};
}

export async function refused(
	sent: Promise<unknown>,
	status: number,
	name: string,
	message: string | RegExp,
): Promise<void> {
	await assert.rejects(sent, (error: LambdaServiceException) => {
		const text = error.message || (error as unknown as { Message?: string }).Message || "";
		assert.ok(error instanceof LambdaServiceException, String(error));
		assert.deepEqual([error.name, error.$metadata.httpStatusCode], [name, status], text);
		if (typeof message === "string") assert.equal(text, message);
		else assert.match(text, message);
		return true;
	});
}

export async function raw(front: TestFront, method: string, url: string, options: RawOptions = {}) {
	const { status, headers, text } = await rawRequest(front, method, url, options);
	const body = JSON.parse(text) as { Type?: string; message?: string; Message?: string };
	return { status, type: headers.get("x-amzn-errortype"), body };
}

/** Publishes `count` versions, each of another description. */
export async function publish(test: { client: LambdaClient }, name: string, count: number): Promise<void> {
	for (let i = 0; i < count; i++) {
		await configure(test, name, `before version ${i}`);
		await test.client.send(new PublishVersionCommand({ FunctionName: name }));
	}
}

/** Changes $LATEST and waits until that is done. */
export async function configure({ client }: { client: LambdaClient }, name: string, description: string) {
	await client.send(new UpdateFunctionConfigurationCommand({ FunctionName: name, Description: description }));
	await waitUntilFunctionUpdatedV2(waiting(client), { FunctionName: name });
}
