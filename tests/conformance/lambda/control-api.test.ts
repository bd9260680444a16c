/**
 * The Lambda control API and Invoke as AWS's own SDK and recorded answers have them
 * (https://docs.aws.amazon.com/lambda/latest/api/, and the error texts AWS was recorded with).
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
	CreateFunctionCommand,
	type CreateFunctionCommandInput,
	DeleteFunctionCommand,
	GetAccountSettingsCommand,
	GetFunctionCommand,
	GetFunctionConcurrencyCommand,
	GetFunctionConfigurationCommand,
	GetPolicyCommand,
	InvokeCommand,
	LambdaClient,
	LambdaServiceException,
	ListFunctionsCommand,
	ListTagsCommand,
	ListVersionsByFunctionCommand,
	TagResourceCommand,
	UntagResourceCommand,
	UpdateFunctionCodeCommand,
	UpdateFunctionConfigurationCommand,
	waitUntilFunctionActiveV2,
	waitUntilFunctionUpdatedV2,
} from "@aws-sdk/client-lambda";
import { SlipwayError } from "../../../src/base/error.ts";
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

const arnOf = (name: string) => `arn:aws:lambda:${testRegion}:${testAccount}:function:${name}`;
const imageUri = "localhost:4747/app:latest";
const create = (name: string, more: Partial<CreateFunctionCommandInput> = {}) =>
	new CreateFunctionCommand({
		FunctionName: name,
		Role: testRole,
		PackageType: "Image",
		Code: { ImageUri: imageUri },
		...more,
	});

async function start(...names: string[]): Promise<{ front: TestFront; client: LambdaClient } & AsyncDisposable> {
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

describe("Functions: states and shapes", () => {
	it("MUST go from Pending to Active, changing RevisionId, with the recorded shape", async () => {
		await using test = await start();
		const { $metadata, LastModified, RevisionId, ...created } = await test.client.send(create("hello"));
		assert.equal($metadata.httpStatusCode, 201);
		assert.match(LastModified ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$/);
		const common = {
			FunctionName: "hello",
			FunctionArn: arnOf("hello"),
			Role: testRole,
			CodeSize: 1000,
			Description: "",
			Timeout: 3,
			MemorySize: 128,
			CodeSha256: "ab".repeat(32),
			Version: "$LATEST",
			TracingConfig: { Mode: "PassThrough" },
			PackageType: "Image",
			Architectures: ["x86_64"],
			EphemeralStorage: { Size: 512 },
			SnapStart: { ApplyOn: "None", OptimizationStatus: "Off" },
			LoggingConfig: { LogFormat: "Text", LogGroup: "/aws/lambda/hello" },
		};
		const pending = { State: "Pending", StateReason: "The function is being created.", StateReasonCode: "Creating" };
		assert.deepEqual(created, { ...common, ...pending });
		await waitUntilFunctionActiveV2(
			{ client: test.client, maxWaitTime: 10, minDelay: 0.05, maxDelay: 0.1 },
			{ FunctionName: "hello" },
		);
		const got = await test.client.send(new GetFunctionCommand({ FunctionName: "hello" }));
		const { LastModified: _, RevisionId: revision, ...active } = got.Configuration ?? {};
		assert.deepEqual(active, { ...common, State: "Active", LastUpdateStatus: "Successful" });
		assert.notEqual(revision, RevisionId);
		assert.deepEqual(got.Code, {
			RepositoryType: "ECR",
			ImageUri: imageUri,
			ResolvedImageUri: `localhost:4747/app@sha256:${"ab".repeat(32)}`,
		});
		assert.equal(got.Tags, undefined);
	});

	it("MUST give back what was configured", async () => {
		await using test = await start();
		const made = await test.client.send(
			create("all", {
				Architectures: ["arm64"],
				Description: "a function",
				Environment: { Variables: { A: "1", __proto: "x" } },
				EphemeralStorage: { Size: 1024 },
				ImageConfig: { EntryPoint: ["/app"], Command: ["run", ""], WorkingDirectory: "/srv" },
				LoggingConfig: { LogFormat: "JSON", SystemLogLevel: "WARN", LogGroup: "/my/group" },
				MemorySize: 10240,
				Timeout: 900,
				TracingConfig: { Mode: "Active" },
				Tags: { team: "a" },
			}),
		);
		assert.deepEqual(made.Environment, { Variables: { A: "1", __proto: "x" } });
		assert.deepEqual(made.ImageConfigResponse, {
			ImageConfig: { EntryPoint: ["/app"], Command: ["run", ""], WorkingDirectory: "/srv" },
		});
		assert.deepEqual(made.LoggingConfig, {
			LogFormat: "JSON",
			ApplicationLogLevel: "INFO",
			SystemLogLevel: "WARN",
			LogGroup: "/my/group",
		});
		assert.deepEqual(
			[made.Architectures, made.MemorySize, made.Timeout, made.EphemeralStorage?.Size],
			[["arm64"], 10240, 900, 1024],
		);
		await test.front.functions.settled();
		const cleared = await test.client.send(
			new UpdateFunctionConfigurationCommand({ FunctionName: "all", ImageConfig: {}, Environment: {} }),
		);
		assert.deepEqual(
			[cleared.ImageConfigResponse, cleared.Environment, cleared.Description],
			[undefined, undefined, "a function"],
		);
	});

	it("MUST say InProgress during an update, refuse a second one, and end Successful", async () => {
		await using test = await start("f");
		const updated = await test.client.send(
			new UpdateFunctionCodeCommand({ FunctionName: "f", ImageUri: "localhost:4747/app:2" }),
		);
		assert.deepEqual(
			[updated.State, updated.LastUpdateStatus, updated.LastUpdateStatusReason, updated.LastUpdateStatusReasonCode],
			["Active", "InProgress", "The function is being created.", "Creating"],
		);
		await refused(
			test.client.send(new UpdateFunctionConfigurationCommand({ FunctionName: "f", Timeout: 5 })),
			409,
			"ResourceConflictException",
			`The operation cannot be performed at this time. An update is in progress for resource: ${arnOf("f")}`,
		);
		await waitUntilFunctionUpdatedV2(
			{ client: test.client, maxWaitTime: 10, minDelay: 0.05, maxDelay: 0.1 },
			{ FunctionName: "f" },
		);
		const { Code, Configuration } = await test.client.send(new GetFunctionCommand({ FunctionName: arnOf("f") }));
		assert.equal(Code?.ImageUri, "localhost:4747/app:2");
		assert.notEqual(Configuration?.RevisionId, updated.RevisionId);
		await refused(
			test.client.send(new UpdateFunctionConfigurationCommand({ FunctionName: "f", Timeout: 5, RevisionId: "stale" })),
			412,
			"PreconditionFailedException",
			"The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
		);
	});

	it("MUST page lists, without the states", async () => {
		const names = Array.from({ length: 53 }, (_, i) => `f${String(i).padStart(2, "0")}`);
		await using test = await start(...names);
		const seen: string[] = [];
		let marker: string | undefined;
		const sizes: number[] = [];
		do {
			const page = await test.client.send(
				new ListFunctionsCommand({ MaxItems: 1000, ...(marker && { Marker: marker }) }),
			);
			sizes.push(page.Functions?.length ?? 0);
			for (const one of page.Functions ?? []) {
				seen.push(one.FunctionName ?? "");
				assert.equal(one.State ?? one.LastUpdateStatus, undefined);
			}
			marker = page.NextMarker;
		} while (marker);
		assert.deepEqual([seen, sizes], [names, [50, 3]]);
		const settings = await test.client.send(new GetAccountSettingsCommand({}));
		assert.deepEqual(settings.AccountUsage, { TotalCodeSize: 53_000, FunctionCount: 53 });
		assert.equal(settings.AccountLimit?.ConcurrentExecutions, 1000);
		await refused(
			test.client.send(new ListFunctionsCommand({ Marker: "%%" })),
			400,
			"InvalidParameterValueException",
			"Invalid Marker",
		);
	});

	it("MUST delete with 204 and then not find", async () => {
		await using test = await start("f");
		const gone = await test.client.send(new DeleteFunctionCommand({ FunctionName: "f" }));
		assert.equal(gone.$metadata.httpStatusCode, 204);
		await refused(
			test.client.send(new GetFunctionCommand({ FunctionName: "f" })),
			404,
			"ResourceNotFoundException",
			`Function not found: ${arnOf("f")}`,
		);
		await refused(
			test.client.send(new DeleteFunctionCommand({ FunctionName: "f" })),
			404,
			"ResourceNotFoundException",
			`Function not found: ${arnOf("f")}`,
		);
	});

	it("MUST keep tags", async () => {
		await using test = await start("f");
		const Resource = arnOf("f");
		await test.client.send(new TagResourceCommand({ Resource, Tags: { a: "1", b: "2" } }));
		await test.client.send(new UntagResourceCommand({ Resource, TagKeys: ["a", "c"] }));
		assert.deepEqual((await test.client.send(new ListTagsCommand({ Resource }))).Tags, { b: "2" });
		const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, ""]));
		await refused(
			test.client.send(new TagResourceCommand({ Resource, Tags: many })),
			400,
			"InvalidParameterValueException",
			"Number of tags exceeds resource tag limit.",
		);
		await refused(
			test.client.send(new ListTagsCommand({ Resource: `${Resource}:$LATEST` })),
			400,
			"InvalidParameterValueException",
			"Tags on function aliases and versions are not supported. Please specify a function ARN.",
		);
	});

	it("SHOULD answer what tools read after a create", async () => {
		await using test = await start("f");
		const { Versions } = await test.client.send(new ListVersionsByFunctionCommand({ FunctionName: "f" }));
		assert.deepEqual(
			Versions?.map((one) => [one.Version, one.FunctionArn]),
			[["$LATEST", `${arnOf("f")}:$LATEST`]],
		);
		assert.equal(
			(await test.client.send(new GetFunctionConcurrencyCommand({ FunctionName: "f" }))).ReservedConcurrentExecutions,
			undefined,
		);
		await refused(
			test.client.send(new GetPolicyCommand({ FunctionName: "f" })),
			404,
			"ResourceNotFoundException",
			"No policy is associated with the given resource.",
		);
	});
});

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

describe("Functions: validation", () => {
	it("MUST name each broken constraint in AWS's words", async () => {
		await using test = await start();
		const bad = (more: Partial<CreateFunctionCommandInput>) => test.client.send(create("f", more));
		const one = (text: string) => `1 validation error detected: ${text}`;
		await refused(
			bad({ MemorySize: 127 }),
			400,
			"ValidationException",
			one(
				"Value '127' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128",
			),
		);
		await refused(bad({ MemorySize: 10241 }), 400, "ValidationException", /less than or equal to 10240/);
		await refused(
			bad({ Timeout: 901 }),
			400,
			"ValidationException",
			one("Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900"),
		);
		await refused(bad({ EphemeralStorage: { Size: 511 } }), 400, "ValidationException", /'ephemeralStorage.size'/);
		await refused(
			bad({ Role: "me" }),
			400,
			"ValidationException",
			one(
				"Value 'me' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+",
			),
		);
		await refused(
			bad({ Architectures: ["mips" as "arm64"] }),
			400,
			"ValidationException",
			one(
				"Value '[mips]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]",
			),
		);
		await refused(
			bad({ Timeout: 0, MemorySize: 1 }),
			400,
			"ValidationException",
			"2 validation errors detected: Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1; Value '1' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128",
		);
	});

	it("MUST refuse missing members and wrong types", async () => {
		await using test = await start();
		const post = (body: string) => raw(test.front, "POST", "/2015-03-31/functions", { body });
		assert.deepEqual(await post("{}"), {
			status: 400,
			type: "ValidationException",
			body: {
				message:
					"3 validation errors detected: Value null at 'functionName' failed to satisfy constraint: Member must not be null; Value null at 'role' failed to satisfy constraint: Member must not be null; Value null at 'code' failed to satisfy constraint: Member must not be null",
			},
		});
		for (const body of [
			"",
			"x",
			"[]",
			"{",
			'{"FunctionName":1}',
			'{"MemorySize":"128"}',
			'{"Tags":[]}',
			'{"Environment":{"Variables":{"a":1}}}',
			'{"Code":{"ZipFile":"%"}}',
		]) {
			const answer = await post(body);
			assert.equal(answer.status, 400, body);
			assert.ok(answer.type === "InvalidRequestContentException" || body === "", `${body} ${answer.type}`);
		}
	});

	it("MUST refuse what it can't do, by name, and do nothing", async () => {
		await using test = await start("there");
		const invalid = "InvalidParameterValueException";
		const images = /Slipway runs container images only/;
		await refused(
			test.client.send(create("f", { PackageType: "Zip", Code: { ZipFile: Buffer.from("PK") } })),
			400,
			invalid,
			images,
		);
		await refused(
			test.client.send(create("f", { Runtime: "nodejs24.x", Handler: "i.h" })),
			400,
			invalid,
			/^Runtime, Handler can't be used here/,
		);
		await refused(test.client.send(create("f", { PackageType: undefined })), 400, invalid, /--package-type Image/);
		await refused(
			test.client.send(create("f", { Code: {} })),
			400,
			invalid,
			"Please provide ImageUri when creating a function with packageType Image.",
		);
		await refused(
			test.client.send(create("f", { VpcConfig: { SubnetIds: ["s"] } })),
			400,
			invalid,
			"Slipway does not support VpcConfig yet",
		);
		await refused(test.client.send(create("f", { Publish: true })), 400, invalid, /Publish/);
		await refused(
			test.client.send(create("f", { Code: { ImageUri: "localhost/missing:1" } })),
			400,
			invalid,
			"Source image localhost/missing:1 does not exist. Provide a valid source image.",
		);
		await refused(test.client.send(create("there")), 409, "ResourceConflictException", "Function already exist: there");
		await refused(
			test.client.send(new UpdateFunctionCodeCommand({ FunctionName: "there" })),
			400,
			invalid,
			"Please provide ImageUri when updating a function with packageType Image.",
		);
		const empty = await test.client.send(
			create("g", {
				VpcConfig: { SubnetIds: [], SecurityGroupIds: [] },
				DeadLetterConfig: { TargetArn: "" },
				KMSKeyArn: "",
			}),
		);
		assert.equal(empty.FunctionName, "g");
		assert.deepEqual(
			test.front.functions.list({ limit: 9 }).map(({ name }) => name),
			["g", "there"],
		);
	});

	it("MUST write the errors as AWS does: Type, and Message or message", async () => {
		await using test = await start("f");
		const missing = await raw(test.front, "GET", "/2015-03-31/functions/none");
		assert.deepEqual(missing, {
			status: 404,
			type: "ResourceNotFoundException",
			body: { Type: "User", Message: `Function not found: ${arnOf("none")}` },
		});
		const conflict = await raw(test.front, "POST", "/2015-03-31/functions", {
			body: JSON.stringify({ FunctionName: "f", Role: testRole, PackageType: "Image", Code: { ImageUri: imageUri } }),
		});
		assert.deepEqual(conflict, {
			status: 409,
			type: "ResourceConflictException",
			body: { Type: "User", message: "Function already exist: f" },
		});
	});
});

describe("Invoke", () => {
	it("MUST carry the payload, the version, the log tail and one request id", async () => {
		await using test = await start("f");
		const answer = await test.client.send(
			new InvokeCommand({ FunctionName: "f", Payload: Buffer.from('{"x":"€"}'), LogType: "Tail" }),
		);
		assert.equal(answer.Payload?.transformToString(), '{"x":"€"}');
		assert.deepEqual([answer.StatusCode, answer.ExecutedVersion, answer.FunctionError], [200, "$LATEST", undefined]);
		const { request } = test.front.invocations[0]!;
		assert.equal(answer.$metadata.requestId, request.requestId);
		assert.equal(
			Buffer.from(answer.LogResult ?? "", "base64").toString(),
			`START RequestId: ${request.requestId} Version: $LATEST\n`,
		);
		assert.equal(request.invokedArn, arnOf("f"));
	});

	it("MUST qualify the invoked ARN as the caller did, and pass context along", async () => {
		await using test = await start("f");
		const ClientContext = Buffer.from('{"client":1}').toString("base64");
		await test.client.send(new InvokeCommand({ FunctionName: "f", Qualifier: "$LATEST", ClientContext }));
		const { request } = test.front.invocations[0]!;
		assert.deepEqual(
			[request.invokedArn, request.clientContext, Buffer.from(request.payload).toString()],
			[`${arnOf("f")}:$LATEST`, '{"client":1}', "{}"],
		);
		await refused(
			test.client.send(new InvokeCommand({ FunctionName: "f", ClientContext: "e30x" })),
			400,
			"InvalidRequestContentException",
			"Client context must be a valid Base64-encoded JSON object.",
		);
	});

	it("MUST say Unhandled with status 200 when the function fails, and tell a cold start", async () => {
		await using test = await start("f");
		test.front.answer = () => ({
			payload: Buffer.from('{"errorMessage":"x"}'),
			functionError: "Unhandled",
			coldStart: { sandboxMs: 1.25, initMs: 80 },
		});
		const answer = await test.client.send(new InvokeCommand({ FunctionName: "f" }));
		assert.deepEqual(
			[answer.StatusCode, answer.FunctionError, answer.Payload?.transformToString()],
			[200, "Unhandled", '{"errorMessage":"x"}'],
		);
		const direct = await rawRequest(test.front, "POST", "/2015-03-31/functions/f/invocations");
		assert.equal(direct.headers.get("x-slipway-cold-start"), "sandbox;dur=1.3, init;dur=80.0");
		assert.equal(direct.headers.get("content-type"), "application/json");
		assert.equal(direct.headers.get("x-amz-function-error"), "Unhandled");
	});

	it("MUST answer a dry run with 204 and run nothing; Event is refused, not lost", async () => {
		await using test = await start("f");
		const dry = await test.client.send(new InvokeCommand({ FunctionName: "f", InvocationType: "DryRun" }));
		assert.deepEqual([dry.StatusCode, dry.ExecutedVersion], [204, undefined]);
		await refused(
			test.client.send(new InvokeCommand({ FunctionName: "f", InvocationType: "Event" })),
			400,
			"InvalidParameterValueException",
			/Event yet: nothing was accepted/,
		);
		await refused(
			test.client.send(new InvokeCommand({ FunctionName: "none", InvocationType: "DryRun" })),
			404,
			"ResourceNotFoundException",
			`Function not found: ${arnOf("none")}:$LATEST`,
		);
		assert.deepEqual(test.front.invocations, []);
	});

	it("MUST take six megabytes and not one byte more", async () => {
		await using test = await start("f");
		test.front.answer = () => ({ payload: Buffer.from("null") });
		const body = Buffer.alloc(6_291_456, "x");
		body[0] = body[body.length - 1] = 0x22;
		const url = "/2015-03-31/functions/f/invocations";
		assert.equal((await rawRequest(test.front, "POST", url, { body })).status, 200);
		assert.equal(test.front.invocations[0]?.request.payload.length, 6_291_456);
		assert.deepEqual(await raw(test.front, "POST", url, { body: Buffer.concat([body, Buffer.from(" ")]) }), {
			status: 413,
			type: "RequestEntityTooLargeException",
			body: { Message: "Request must be smaller than 6291456 bytes for the InvokeFunction operation" },
		});
	});

	it("MUST refuse a payload that is not JSON, and say where", async () => {
		await using test = await start("f");
		for (const body of ["{", "x", "{'a':1}", '{"a":1}}', Buffer.from([0x22, 0xff, 0x22])]) {
			const answer = await raw(test.front, "POST", "/2015-03-31/functions/f/invocations", { body });
			assert.deepEqual([answer.status, answer.type, answer.body.Type], [400, "InvalidRequestContentException", "User"]);
			assert.match(
				answer.body.message ?? "",
				/^Could not parse request body into json: Could not parse payload into json: .*line: 1, column: \d+\]$/s,
			);
		}
		assert.deepEqual(test.front.invocations, []);
	});

	it("MUST say 404 with $LATEST, 409 while Pending, 429 with a reason, and enum errors", async () => {
		await using test = await start("f");
		await refused(
			test.client.send(new InvokeCommand({ FunctionName: "none" })),
			404,
			"ResourceNotFoundException",
			`Function not found: ${arnOf("none")}:$LATEST`,
		);
		await test.client.send(create("slow", { Code: { ImageUri: "localhost/slow:1" } }));
		await refused(
			test.client.send(new InvokeCommand({ FunctionName: "slow" })),
			409,
			"ResourceConflictException",
			"The operation cannot be performed at this time. The function is currently in the following state: Pending",
		);
		test.front.answer = () => {
			throw new SlipwayError("THROTTLED", "Rate Exceeded.", {
				reason: "ReservedFunctionConcurrentInvocationLimitExceeded",
				retryAfterMs: 1500,
			});
		};
		const throttled = await rawRequest(test.front, "POST", "/2015-03-31/functions/f/invocations");
		assert.deepEqual(
			[throttled.status, throttled.headers.get("retry-after"), JSON.parse(throttled.text)],
			[
				429,
				"2",
				{ Type: "User", message: "Rate Exceeded.", Reason: "ReservedFunctionConcurrentInvocationLimitExceeded" },
			],
		);
		const type = await raw(test.front, "POST", "/2015-03-31/functions/f/invocations", {
			headers: { "X-Amz-Invocation-Type": "Later" },
		});
		assert.deepEqual(type, {
			status: 400,
			type: "ValidationException",
			body: {
				message:
					"1 validation error detected: Value 'Later' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun]",
			},
		});
	});
});

async function refused(sent: Promise<unknown>, status: number, name: string, message: string | RegExp): Promise<void> {
	await assert.rejects(sent, (error: LambdaServiceException) => {
		const text = error.message || (error as unknown as { Message?: string }).Message || "";
		assert.ok(error instanceof LambdaServiceException, String(error));
		assert.deepEqual([error.name, error.$metadata.httpStatusCode], [name, status], text);
		if (typeof message === "string") assert.equal(text, message);
		else assert.match(text, message);
		return true;
	});
}

async function raw(front: TestFront, method: string, url: string, options: RawOptions = {}) {
	const { status, headers, text } = await rawRequest(front, method, url, options);
	const body = JSON.parse(text) as { Type?: string; message?: string; Message?: string };
	return { status, type: headers.get("x-amzn-errortype"), body };
}
