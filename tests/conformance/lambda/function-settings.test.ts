import assert from "node:assert/strict";
import { describe } from "node:test";
import {
	CreateEventSourceMappingCommand,
	DeleteFunctionCodeSigningConfigCommand,
	DeleteFunctionEventInvokeConfigCommand,
	GetCodeSigningConfigCommand,
	GetEventSourceMappingCommand,
	GetFunctionCodeSigningConfigCommand,
	GetFunctionEventInvokeConfigCommand,
	GetFunctionRecursionConfigCommand,
	GetRuntimeManagementConfigCommand,
	ListCodeSigningConfigsCommand,
	ListDurableExecutionsByFunctionCommand,
	ListEventSourceMappingsCommand,
	ListFunctionEventInvokeConfigsCommand,
	ListLayersCommand,
	PublishLayerVersionCommand,
	PutFunctionCodeSigningConfigCommand,
	PutFunctionRecursionConfigCommand,
	PutRuntimeManagementConfigCommand,
} from "@aws-sdk/client-lambda";
import { testAccount, testRegion } from "../../../src/front/aws/test-front.ts";
import { clause } from "./clause.ts";
import { api, arnOf, guide, invalid, notFound, publish, recorded, refused, start, validation } from "./control-api.ts";

const area = "Functions";
const FunctionName = "f";
const signingArn = `arn:aws:lambda:${testRegion}:${testAccount}:code-signing-config:csc-${"0".repeat(17)}`;

describe("Settings of a function", () => {
	clause(
		{ area, says: "Recursion is Terminate until PutFunctionRecursionConfig says Allow", source: recorded },
		async () => {
			await using test = await start("f");
			const read = async () =>
				(await test.client.send(new GetFunctionRecursionConfigCommand({ FunctionName }))).RecursiveLoop;
			const put = (value: string, name = FunctionName) =>
				test.client.send(
					new PutFunctionRecursionConfigCommand({ FunctionName: name, RecursiveLoop: value as "Allow" }),
				);
			assert.equal(await read(), "Terminate");
			assert.equal((await put("Allow")).RecursiveLoop, "Allow");
			assert.equal(await read(), "Allow");
			await refused(
				put("InvalidValue"),
				400,
				validation,
				"1 validation error detected: Value 'InvalidValue' at 'recursiveLoop' failed to satisfy constraint: Member must satisfy enum value set: [Terminate, Allow]",
			);
			await refused(put("Allow", "f:1"), 400, validation, /'functionName' failed to satisfy constraint/);
			await refused(put("Allow", "g"), 404, notFound, `Function not found: ${arnOf("g")}`);
		},
	);

	clause({ area, says: "An image's runtime updates are Auto", source: api("GetRuntimeManagementConfig") }, async () => {
		await using test = await start("f");
		await publish(test, "f", 1);
		const read = async (Qualifier?: string) => {
			const { $metadata: _, ...rest } = await test.client.send(
				new GetRuntimeManagementConfigCommand({ FunctionName, Qualifier }),
			);
			return rest;
		};
		assert.deepEqual(await read(), { UpdateRuntimeOn: "Auto", FunctionArn: `${arnOf("f")}:$LATEST` });
		assert.deepEqual(await read("1"), { UpdateRuntimeOn: "Auto", FunctionArn: `${arnOf("f")}:1` });
		await test.client.send(new PutRuntimeManagementConfigCommand({ FunctionName, UpdateRuntimeOn: "Auto" }));
	});

	clause(
		{
			area,
			says: "PutRuntimeManagementConfig can hold a managed runtime's version",
			source: guide("runtimes-update"),
			differs: "Refused: an image brings its own runtime, which only a new image changes",
		},
		async () => {
			await using test = await start("f");
			await refused(
				test.client.send(new PutRuntimeManagementConfigCommand({ FunctionName, UpdateRuntimeOn: "FunctionUpdate" })),
				400,
				invalid,
				/^UpdateRuntimeOn FunctionUpdate can't be used here/,
			);
		},
	);

	clause(
		{
			area,
			says: "A function without code signing reads as one, and taking it away changes nothing",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			const got = await test.client.send(new GetFunctionCodeSigningConfigCommand({ FunctionName }));
			assert.deepEqual({ ...got, $metadata: undefined }, { $metadata: undefined });
			const gone = await test.client.send(new DeleteFunctionCodeSigningConfigCommand({ FunctionName }));
			assert.equal(gone.$metadata.httpStatusCode, 204);
			await refused(
				test.client.send(new GetFunctionCodeSigningConfigCommand({ FunctionName: "g" })),
				404,
				notFound,
				`Function not found: ${arnOf("g")}`,
			);
		},
	);

	clause(
		{ area, says: "A code signing configuration that is not there is named by its ARN", source: recorded },
		async () => {
			await using test = await start("f");
			assert.deepEqual((await test.client.send(new ListCodeSigningConfigsCommand({}))).CodeSigningConfigs, []);
			await refused(
				test.client.send(new GetCodeSigningConfigCommand({ CodeSigningConfigArn: signingArn })),
				404,
				notFound,
				`The Lambda code signing configuration ${signingArn} can not be found.`,
			);
			await refused(
				test.client.send(new PutFunctionCodeSigningConfigCommand({ FunctionName, CodeSigningConfigArn: signingArn })),
				404,
				"CodeSigningConfigNotFoundException",
				`The code signing configuration cannot be found. Check that the provided configuration is not deleted: ${signingArn}.`,
			);
		},
	);

	clause(
		{
			area,
			says: "A function without settings for asynchronous invocation says so, whether or not it is there",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			for (const [name, arn] of [
				["f", `${arnOf("f")}:$LATEST`],
				["f:1221", `${arnOf("f")}:1221`],
				["g", `${arnOf("g")}:$LATEST`],
			] as const)
				for (const Command of [GetFunctionEventInvokeConfigCommand, DeleteFunctionEventInvokeConfigCommand])
					await refused(
						test.client.send(new Command({ FunctionName: name }) as GetFunctionEventInvokeConfigCommand),
						404,
						notFound,
						`The function ${arn} doesn't have an EventInvokeConfig`,
					);
			const list = (name: string) =>
				test.client.send(new ListFunctionEventInvokeConfigsCommand({ FunctionName: name }));
			assert.deepEqual((await list("f")).FunctionEventInvokeConfigs, []);
			await refused(list("g"), 404, notFound, "The function doesn't exist.");
		},
	);

	clause(
		{
			area,
			says: "Layers and durable executions belong to functions",
			source: guide("welcome"),
			differs:
				"Lists of them are empty; what would make one is refused by its name and the reason, once, without retries",
		},
		async () => {
			await using test = await start("f");
			assert.deepEqual((await test.client.send(new ListLayersCommand({}))).Layers, []);
			await refused(
				test.client.send(new PublishLayerVersionCommand({ LayerName: "l", Content: {} })),
				501,
				"NotImplementedException",
				"Slipway does not implement lambda:PublishLayerVersion: layers are for zip packages: put their files into the image",
			);
			await refused(
				test.client.send(new ListDurableExecutionsByFunctionCommand({ FunctionName })),
				501,
				"NotImplementedException",
				/durable functions are not there yet$/,
			);
		},
	);

	clause(
		{
			area,
			says: "An event source mapping names its source and a function; what is not there is refused",
			source: api("CreateEventSourceMapping"),
		},
		async () => {
			await using test = await start("f");
			assert.deepEqual((await test.client.send(new ListEventSourceMappingsCommand({}))).EventSourceMappings, []);
			await refused(
				test.client.send(new GetEventSourceMappingCommand({ UUID: "none" })),
				404,
				notFound,
				"The resource you requested does not exist.",
			);
			await refused(
				test.client.send(new CreateEventSourceMappingCommand({ FunctionName })),
				400,
				invalid,
				"Unrecognized event source.",
			);
		},
	);
});
