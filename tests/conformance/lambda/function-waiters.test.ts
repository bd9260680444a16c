import assert from "node:assert/strict";
import { describe } from "node:test";
import { setTimeout } from "node:timers/promises";
import {
	DeleteAliasCommand,
	DeleteFunctionCommand,
	DeleteFunctionConcurrencyCommand,
	GetFunctionCommand,
	GetFunctionConfigurationCommand,
	LambdaClient,
	PublishVersionCommand,
	PutFunctionConcurrencyCommand,
	TagResourceCommand,
	UpdateFunctionCodeCommand,
	UpdateFunctionConfigurationCommand,
	waitUntilFunctionActive,
	waitUntilFunctionActiveV2,
	waitUntilFunctionExists,
	waitUntilFunctionUpdated,
	waitUntilFunctionUpdatedV2,
	waitUntilPublishedVersionActive,
} from "@aws-sdk/client-lambda";
import { testKeys, testRegion } from "../../../src/front/aws/test-front.ts";
import { clause } from "./clause.ts";
import {
	api,
	arnOf,
	conflict,
	create,
	guide,
	invalid,
	notFound,
	recorded,
	refused,
	start,
	waiting,
} from "./control-api.ts";

const area = "Functions";
const FunctionName = "f";
const slowImage = "localhost:4747/slow:1";

describe("Waiting and trying again", () => {
	clause(
		{
			area,
			says: "The SDKs' waiters end: exists, active, updated, their older forms, and published version active",
			source: guide("functions-states"),
		},
		async () => {
			await using test = await start();
			const { client } = test;
			await client.send(create("f", { Code: { ImageUri: slowImage }, Publish: true }));
			await waitUntilFunctionExists(waiting(client), { FunctionName });
			const states = await Promise.all([
				waitUntilFunctionActiveV2(waiting(client), { FunctionName }),
				waitUntilFunctionActive(waiting(client), { FunctionName }),
				waitUntilPublishedVersionActive(waiting(client), { FunctionName, Qualifier: "1" }),
			]);
			await client.send(new UpdateFunctionConfigurationCommand({ FunctionName, Timeout: 9 }));
			states.push(await waitUntilFunctionUpdatedV2(waiting(client), { FunctionName }));
			await client.send(new UpdateFunctionCodeCommand({ FunctionName, ImageUri: slowImage }));
			states.push(await waitUntilFunctionUpdated(waiting(client), { FunctionName: arnOf("f") }));
			assert.deepEqual(
				states.map(({ state }) => String(state)),
				Array(5).fill("SUCCESS"),
			);
		},
	);

	clause(
		{
			area,
			says: "A write during an update is a 409 that names the resource, and succeeds when it is tried until the update is done",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			await test.client.send(new UpdateFunctionCodeCommand({ FunctionName, ImageUri: slowImage }));
			let conflicts = 0;
			for (;;)
				try {
					await test.client.send(new UpdateFunctionConfigurationCommand({ FunctionName, Timeout: 9 }));
					break;
				} catch (error) {
					assert.equal((error as Error).name, conflict);
					assert.match((error as Error).message, /in progress for resource: arn:aws:lambda:.*:function:f$/);
					conflicts++;
					await setTimeout(20);
				}
			assert.ok(conflicts > 0);
			await test.front.functions.settled();
			const got = await test.client.send(new GetFunctionConfigurationCommand({ FunctionName }));
			assert.deepEqual([got.Timeout, got.LastUpdateStatus], [9, "Successful"]);
		},
	);

	clause(
		{
			area,
			says: "A client that retries does not retry a conflict or a refusal by itself",
			source: api("CommonErrors"),
		},
		async () => {
			await using test = await start("f");
			const client = new LambdaClient({
				endpoint: test.front.url,
				region: testRegion,
				credentials: testKeys,
				maxAttempts: 5,
			});
			await assert.rejects(client.send(create("f")), (error: Error & { $metadata: { attempts?: number } }) => {
				assert.deepEqual([error.name, error.$metadata.attempts], [conflict, 1]);
				return true;
			});
			client.destroy();
		},
	);

	clause(
		{
			area,
			says: "Writes that are made a second time, as a stack's update or rollback does, end in the same state",
			source: "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-lambda-function.html",
		},
		async () => {
			await using test = await start();
			const { client } = test;
			await client.send(create("f", { Tags: { a: "1" } }));
			await refused(client.send(create("f")), 409, conflict, "Function already exist: f");
			await waitUntilFunctionActiveV2(waiting(client), { FunctionName });
			const settle = () => waitUntilFunctionUpdatedV2(waiting(client), { FunctionName });
			const twice = async (write: () => Promise<unknown>) => {
				const states: unknown[] = [];
				for (let i = 0; i < 2; i++) {
					await write();
					await settle();
					const { Configuration, Concurrency, Tags } = await client.send(new GetFunctionCommand({ FunctionName }));
					states.push({ Configuration: { ...Configuration, LastModified: 0, RevisionId: 0 }, Concurrency, Tags });
				}
				assert.deepEqual(states[1], states[0]);
			};
			const ImageUri = "localhost:4747/app:2";
			await twice(() => client.send(new UpdateFunctionCodeCommand({ FunctionName, ImageUri })));
			await twice(() =>
				client.send(new UpdateFunctionConfigurationCommand({ FunctionName, MemorySize: 256, ImageConfig: {} })),
			);
			await twice(() =>
				client.send(new PutFunctionConcurrencyCommand({ FunctionName, ReservedConcurrentExecutions: 3 })),
			);
			await twice(() => client.send(new TagResourceCommand({ Resource: arnOf("f"), Tags: { a: "2" } })));
			await twice(() => client.send(new PublishVersionCommand({ FunctionName })));
			await twice(() => client.send(new DeleteFunctionConcurrencyCommand({ FunctionName })));
			await twice(() => client.send(new DeleteAliasCommand({ FunctionName, Name: "live" })));
			await client.send(new DeleteFunctionCommand({ FunctionName }));
			await refused(
				client.send(new DeleteFunctionCommand({ FunctionName })),
				404,
				notFound,
				`Function not found: ${arnOf("f")}`,
			);
		},
	);

	clause(
		{
			area,
			says: "ImageConfig is replaced as a whole, each part may be left to the image, and an empty one removes it",
			source: recorded,
		},
		async () => {
			await using test = await start();
			const { client } = test;
			const made = await client.send(
				create("f", { ImageConfig: { EntryPoint: ["sh"], Command: ["-c", "echo test"], WorkingDirectory: "/app1" } }),
			);
			assert.deepEqual(made.ImageConfigResponse?.ImageConfig, {
				EntryPoint: ["sh"],
				Command: ["-c", "echo test"],
				WorkingDirectory: "/app1",
			});
			await waitUntilFunctionActiveV2(waiting(client), { FunctionName });
			for (const [given, shown] of [
				[
					{ Command: ["-c", "echo test1"], WorkingDirectory: "/app1" },
					{ Command: ["-c", "echo test1"], WorkingDirectory: "/app1" },
				],
				[{ EntryPoint: [], Command: ["x"], WorkingDirectory: "" }, { Command: ["x"] }],
				[undefined, { Command: ["x"] }],
				[{}, undefined],
			] as const) {
				const ImageConfig = given && { ...given, ...("EntryPoint" in given && { EntryPoint: [...given.EntryPoint] }) };
				await client.send(
					new UpdateFunctionConfigurationCommand({
						FunctionName,
						...(ImageConfig && { ImageConfig: structuredClone(ImageConfig) as object }),
					}),
				);
				await waitUntilFunctionUpdatedV2(waiting(client), { FunctionName });
				const got = await client.send(new GetFunctionConfigurationCommand({ FunctionName }));
				assert.deepEqual(got.ImageConfigResponse?.ImageConfig, shown);
			}
		},
	);

	clause(
		{
			area,
			says: "The members that only zip packages have are refused for an image",
			source: guide("images-create"),
			differs: "In words of our own, which say what to do instead",
		},
		async () => {
			await using test = await start("f");
			const update = (more: object) =>
				test.client.send(new UpdateFunctionConfigurationCommand({ FunctionName, ...more }));
			await refused(update({ Handler: "index.handler" }), 400, invalid, /^Handler can't be used here/);
			await refused(update({ Runtime: "nodejs24.x" }), 400, invalid, /^Runtime can't be used here/);
			await refused(
				update({ SnapStart: { ApplyOn: "PublishedVersions" } }),
				400,
				invalid,
				/^SnapStart is not supported/,
			);
			await refused(
				test.client.send(new UpdateFunctionCodeCommand({ FunctionName, ZipFile: Buffer.from("PK") })),
				400,
				invalid,
				/^ZipFile can't be used here/,
			);
		},
	);
});
