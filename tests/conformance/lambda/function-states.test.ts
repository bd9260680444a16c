import assert from "node:assert/strict";
import { describe } from "node:test";
import {
	DeleteFunctionCommand,
	GetAccountSettingsCommand,
	GetFunctionCommand,
	GetFunctionConcurrencyCommand,
	GetPolicyCommand,
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
import { testRole } from "../../../src/front/aws/test-front.ts";

import { clause } from "./clause.ts";
import { api, arnOf, create, imageUri, recorded, refused, start } from "./control-api.ts";

const area = "Functions";

describe("Functions: states and shapes", () => {
	clause(
		{
			area,
			says: "CreateFunction answers Pending; the function becomes Active with another RevisionId, in the recorded shape",
			source: recorded,
		},
		async () => {
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
		},
	);

	clause(
		{
			area,
			says: "What was configured is given back; an empty ImageConfig or Environment takes it away",
			source: recorded,
		},
		async () => {
			await using test = await start();
			const made = await test.client.send(
				create("all", {
					Architectures: ["arm64"],
					Description: "a function",
					Environment: { Variables: { STAGE: "1", proto__: "x" } },
					EphemeralStorage: { Size: 1024 },
					ImageConfig: { EntryPoint: ["/app"], Command: ["run", ""], WorkingDirectory: "/srv" },
					LoggingConfig: { LogFormat: "JSON", SystemLogLevel: "WARN", LogGroup: "/my/group" },
					MemorySize: 10240,
					Timeout: 900,
					TracingConfig: { Mode: "Active" },
					Tags: { team: "a" },
				}),
			);
			assert.deepEqual(made.Environment, { Variables: { STAGE: "1", proto__: "x" } });
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
		},
	);

	clause(
		{ area, says: "An update is InProgress, refuses a second one with 409, and ends Successful", source: recorded },
		async () => {
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
				test.client.send(
					new UpdateFunctionConfigurationCommand({ FunctionName: "f", Timeout: 5, RevisionId: "stale" }),
				),
				412,
				"PreconditionFailedException",
				"The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
			);
		},
	);

	clause(
		{
			area,
			says: "ListFunctions gives 50 functions a page at most, without their states",
			source: api("ListFunctions"),
		},
		async () => {
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
		},
	);

	clause(
		{ area, says: "DeleteFunction answers 204, and the function is not found afterwards", source: recorded },
		async () => {
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
		},
	);

	clause({ area, says: "Tags are kept, 50 of them, on functions and not on versions", source: recorded }, async () => {
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
		await refused(
			test.client.send(new TagResourceCommand({ Resource, Tags: {} })),
			400,
			"InvalidParameterValueException",
			"An error occurred and the request cannot be processed.",
		);
		const { Tags } = await test.client.send(new GetFunctionCommand({ FunctionName: "f" }));
		assert.deepEqual(Tags, { b: "2" });
		await refused(
			test.client.send(new UntagResourceCommand({ Resource: arnOf("none"), TagKeys: ["a"] })),
			404,
			"ResourceNotFoundException",
			`Function not found: ${arnOf("none")}`,
		);
	});

	clause(
		{ area, says: "What tools read after a create is answered: versions, concurrency, policy", source: recorded },
		async () => {
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
				"The resource you requested does not exist.",
			);
		},
	);
});
