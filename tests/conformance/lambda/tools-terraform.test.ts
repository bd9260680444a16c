/** The calls that the Terraform provider's resources make, in their order: create, read, update, read, delete, read. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { setTimeout } from "node:timers/promises";
import {
	AddPermissionCommand,
	CreateAliasCommand,
	CreateFunctionUrlConfigCommand,
	DeleteAliasCommand,
	DeleteFunctionCommand,
	DeleteFunctionConcurrencyCommand,
	DeleteFunctionUrlConfigCommand,
	DeleteProvisionedConcurrencyConfigCommand,
	GetAliasCommand,
	GetFunctionCommand,
	GetFunctionConcurrencyCommand,
	GetFunctionConfigurationCommand,
	GetFunctionUrlConfigCommand,
	GetPolicyCommand,
	GetProvisionedConcurrencyConfigCommand,
	type LambdaClient,
	ListVersionsByFunctionCommand,
	PublishVersionCommand,
	PutFunctionConcurrencyCommand,
	PutProvisionedConcurrencyConfigCommand,
	RemovePermissionCommand,
	TagResourceCommand,
	UntagResourceCommand,
	UpdateAliasCommand,
	UpdateFunctionCodeCommand,
	UpdateFunctionConfigurationCommand,
	UpdateFunctionUrlConfigCommand,
} from "@aws-sdk/client-lambda";
import { testRole } from "../../../src/front/aws/test-front.ts";
import { clause } from "./clause.ts";
import { arnOf, create, imageUri, notFound, publish, refused, start } from "./control-api.ts";

const area = "Tools";
const FunctionName = "f";
const provider = (resource: string) =>
	`https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lambda/${resource}.go`;

/** StateChangeConf: asks until what it asks for is no longer `pending`. */
async function stateChange<T>(ask: () => Promise<T>, state: (answer: T) => string | undefined, pending: string) {
	for (;;) {
		const answer = await ask();
		if (state(answer) !== pending) return answer;
		await setTimeout(10);
	}
}

const getFunction = (client: LambdaClient) => client.send(new GetFunctionCommand({ FunctionName }));
const created = (client: LambdaClient) =>
	stateChange(
		() => getFunction(client),
		({ Configuration }) => Configuration?.State,
		"Pending",
	);
const updated = (client: LambdaClient) =>
	stateChange(
		() => getFunction(client),
		({ Configuration }) => Configuration?.LastUpdateStatus,
		"InProgress",
	);

/** resourceFunctionRead: the function, and the last version of the last page. */
async function readFunction(client: LambdaClient) {
	const { Configuration, Code, Concurrency, Tags } = await getFunction(client);
	let last: { FunctionArn?: string | undefined; Version?: string | undefined } | undefined;
	let Marker: string | undefined;
	do {
		const page = await client.send(
			new ListVersionsByFunctionCommand({ FunctionName, MaxItems: 10_000, ...(Marker && { Marker }) }),
		);
		Marker = page.NextMarker;
		if (Marker === undefined) last = page.Versions?.at(-1);
	} while (Marker);
	return {
		arn: Configuration?.FunctionArn,
		imageUri: Code?.ImageUri,
		role: Configuration?.Role,
		description: Configuration?.Description,
		timeout: Configuration?.Timeout,
		memory: Configuration?.MemorySize,
		environment: Configuration?.Environment?.Variables,
		imageConfig: Configuration?.ImageConfigResponse?.ImageConfig,
		reserved: Concurrency?.ReservedConcurrentExecutions ?? -1,
		tags: Tags,
		qualifiedArn: last?.FunctionArn,
		version: last?.Version,
	};
}

async function withVersions(count: number) {
	const test = await start("f");
	await publish(test, "f", count);
	return test;
}

describe("Terraform's resources", () => {
	clause(
		{ area, says: "aws_lambda_function: created, read, updated, published and deleted", source: provider("function") },
		async () => {
			await using test = await start();
			const { client } = test;
			const environment = { Variables: { STAGE: "test" } };
			await client.send(
				create("f", {
					Description: "",
					EphemeralStorage: { Size: 512 },
					Environment: environment,
					ImageConfig: { Command: ["app.handler"] },
					MemorySize: 128,
					Publish: true,
					Tags: { team: "a" },
					Timeout: 3,
					TracingConfig: { Mode: "PassThrough" },
					VpcConfig: { Ipv6AllowedForDualStack: false, SecurityGroupIds: [], SubnetIds: [] },
				}),
			);
			assert.equal((await created(client)).Configuration?.State, "Active");
			await client.send(new PutFunctionConcurrencyCommand({ FunctionName, ReservedConcurrentExecutions: 5 }));
			const planned = {
				arn: arnOf("f"),
				imageUri,
				role: testRole,
				description: "",
				timeout: 3,
				memory: 128,
				environment: environment.Variables,
				imageConfig: { Command: ["app.handler"] },
				reserved: 5,
				tags: { team: "a" },
				qualifiedArn: `${arnOf("f")}:1`,
				version: "1",
			};
			assert.deepEqual(await readFunction(client), planned);

			await client.send(new TagResourceCommand({ Resource: arnOf("f"), Tags: { team: "b" } }));
			await client.send(new UntagResourceCommand({ Resource: arnOf("f"), TagKeys: ["old"] }));
			await client.send(
				new UpdateFunctionConfigurationCommand({
					FunctionName,
					Description: "second",
					Environment: { Variables: {} },
					ImageConfig: {},
					MemorySize: 256,
				}),
			);
			assert.equal((await updated(client)).Configuration?.LastUpdateStatus, "Successful");
			const newImage = "localhost:4747/app:2";
			await client.send(new UpdateFunctionCodeCommand({ FunctionName, ImageUri: newImage }));
			assert.equal((await updated(client)).Configuration?.LastUpdateStatus, "Successful");
			await client.send(new DeleteFunctionConcurrencyCommand({ FunctionName }));
			const version = await client.send(new PublishVersionCommand({ FunctionName }));
			// The version's ARN and its number beside it.
			const waited = await stateChange(
				() =>
					client.send(
						new GetFunctionConfigurationCommand({ FunctionName: version.FunctionArn, Qualifier: version.Version }),
					),
				(answer) => answer.LastUpdateStatus ?? "InProgress",
				"InProgress",
			);
			assert.equal(waited.LastUpdateStatus, "Successful");
			assert.deepEqual(await readFunction(client), {
				...planned,
				imageUri: newImage,
				description: "second",
				memory: 256,
				environment: undefined,
				imageConfig: undefined,
				reserved: -1,
				tags: { team: "b" },
				qualifiedArn: `${arnOf("f")}:2`,
				version: "2",
			});
			// A data source with a qualifier finds no Concurrency there and asks for it by itself.
			const qualified = await client.send(new GetFunctionCommand({ FunctionName, Qualifier: "2" }));
			assert.equal(qualified.Concurrency, undefined);
			await client.send(new GetFunctionConcurrencyCommand({ FunctionName }));

			await client.send(new DeleteFunctionCommand({ FunctionName }));
			await refused(getFunction(client), 404, notFound, `Function not found: ${arnOf("f")}`);
		},
	);

	clause(
		{ area, says: "aws_lambda_alias: created, read, moved, read and deleted", source: provider("alias") },
		async () => {
			await using test = await withVersions(2);
			const { client } = test;
			const Name = "live";
			const made = await client.send(
				// An alias without routing_config sends an empty one.
				new CreateAliasCommand({ FunctionName, Name, FunctionVersion: "1", Description: "", RoutingConfig: {} }),
			);
			assert.equal(made.AliasArn, `${arnOf("f")}:live`);
			const read = async () => {
				const got = await client.send(new GetAliasCommand({ FunctionName, Name }));
				return [got.FunctionVersion, got.Description, got.RoutingConfig?.AdditionalVersionWeights];
			};
			assert.deepEqual(await read(), ["1", "", undefined]);
			const update = (FunctionVersion: string, AdditionalVersionWeights?: Record<string, number>) =>
				client.send(
					new UpdateAliasCommand({
						FunctionName,
						Name,
						FunctionVersion,
						Description: "",
						RoutingConfig: AdditionalVersionWeights ? { AdditionalVersionWeights } : {},
					}),
				);
			await update("1", { "2": 0.5 });
			assert.deepEqual(await read(), ["1", "", { "2": 0.5 }]);
			await update("2");
			assert.deepEqual(await read(), ["2", "", undefined]);
			await client.send(new DeleteAliasCommand({ FunctionName, Name }));
			await refused(read(), 404, notFound, /^Cannot find alias arn/);
		},
	);

	clause(
		{
			area,
			says: "aws_lambda_permission: added, found in the policy by its id, removed and gone",
			source: provider("permission"),
		},
		async () => {
			await using test = await withVersions(1);
			const { client } = test;
			await client.send(new CreateAliasCommand({ FunctionName, Name: "live", FunctionVersion: "1" }));
			for (const Qualifier of [undefined, "1", "live"]) {
				const StatementId = `id-${Qualifier ?? "function"}`;
				await client.send(
					new AddPermissionCommand({
						FunctionName,
						Qualifier,
						StatementId,
						Action: "lambda:InvokeFunction",
						Principal: "events.amazonaws.com",
						SourceArn: "arn:aws:events:us-east-1:123456789012:rule/r",
					}),
				);
				const find = async () => {
					const { Policy } = await client.send(new GetPolicyCommand({ FunctionName, Qualifier }));
					const { Statement } = JSON.parse(Policy ?? "") as {
						Statement: { Sid: string; Resource: string; Principal: unknown; Condition: Record<string, unknown> }[];
					};
					return Statement.find(({ Sid }) => Sid === StatementId);
				};
				const statement = await find();
				assert.equal(statement?.Resource, Qualifier === undefined ? arnOf("f") : `${arnOf("f")}:${Qualifier}`);
				assert.deepEqual(
					[statement?.Principal, statement?.Condition.ArnLike],
					[{ Service: "events.amazonaws.com" }, { "AWS:SourceArn": "arn:aws:events:us-east-1:123456789012:rule/r" }],
				);
				await client.send(new RemovePermissionCommand({ FunctionName, Qualifier, StatementId }));
				await refused(find(), 404, notFound, "The resource you requested does not exist.");
			}
		},
	);

	clause(
		{
			area,
			says: "aws_lambda_function_url: created with its permissions, read, updated, read and deleted",
			source: provider("function_url"),
		},
		async () => {
			await using test = await start("f");
			const { client } = test;
			const read = () => client.send(new GetFunctionUrlConfigCommand({ FunctionName }));
			await client.send(
				new CreateFunctionUrlConfigCommand({
					FunctionName,
					AuthType: "NONE",
					InvokeMode: "BUFFERED",
					Cors: { AllowCredentials: false, AllowOrigins: ["*"], MaxAge: 10 },
				}),
			);
			const allow = (StatementId: string, more: object) =>
				client.send(
					new AddPermissionCommand({
						FunctionName,
						StatementId,
						Principal: "*",
						Action: "lambda:InvokeFunctionUrl",
						...more,
					}),
				);
			await allow("FunctionURLAllowPublicAccess", { FunctionUrlAuthType: "NONE" });
			await allow("FunctionURLAllowInvokeAction", { Action: "lambda:InvokeFunction", InvokedViaFunctionUrl: true });
			const first = await read();
			assert.match(new URL(first.FunctionUrl ?? "").hostname.split(".")[0] ?? "", /^[a-z0-9]{32}$/);
			assert.deepEqual(first.Cors, { AllowCredentials: false, AllowOrigins: ["*"], MaxAge: 10 });
			await client.send(
				new UpdateFunctionUrlConfigCommand({
					FunctionName,
					AuthType: "AWS_IAM",
					Cors: {},
					InvokeMode: "RESPONSE_STREAM",
				}),
			);
			const second = await read();
			assert.deepEqual(
				[second.AuthType, second.Cors, second.InvokeMode, second.FunctionUrl],
				["AWS_IAM", undefined, "RESPONSE_STREAM", first.FunctionUrl],
			);
			await client.send(new DeleteFunctionUrlConfigCommand({ FunctionName }));
			await refused(read(), 404, notFound, "The resource you requested does not exist.");
		},
	);

	clause(
		{
			area,
			says: "aws_lambda_provisioned_concurrency_config: put, awaited, read, changed and deleted",
			source: provider("provisioned_concurrency_config"),
		},
		async () => {
			await using test = await withVersions(1);
			const { client } = test;
			const target = { FunctionName, Qualifier: "1" };
			const read = () => client.send(new GetProvisionedConcurrencyConfigCommand(target));
			for (const ProvisionedConcurrentExecutions of [1, 3]) {
				await client.send(new PutProvisionedConcurrencyConfigCommand({ ...target, ProvisionedConcurrentExecutions }));
				const ready = await stateChange(read, ({ Status }) => Status, "IN_PROGRESS");
				assert.equal(ready.Status, "READY");
				assert.equal((await read()).RequestedProvisionedConcurrentExecutions, ProvisionedConcurrentExecutions);
				assert.equal((await read()).AllocatedProvisionedConcurrentExecutions, ProvisionedConcurrentExecutions);
			}
			await client.send(new DeleteProvisionedConcurrencyConfigCommand(target));
			await refused(read(), 404, "ProvisionedConcurrencyConfigNotFoundException", /^No Provisioned Concurrency Config/);
		},
	);
});
