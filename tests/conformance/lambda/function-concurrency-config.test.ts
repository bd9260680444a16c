import assert from "node:assert/strict";
import { describe } from "node:test";
import { setTimeout } from "node:timers/promises";
import {
	CreateAliasCommand,
	DeleteFunctionConcurrencyCommand,
	DeleteProvisionedConcurrencyConfigCommand,
	GetAccountSettingsCommand,
	GetFunctionCommand,
	GetFunctionConcurrencyCommand,
	GetProvisionedConcurrencyConfigCommand,
	type LambdaClient,
	ListProvisionedConcurrencyConfigsCommand,
	PutFunctionConcurrencyCommand,
	PutProvisionedConcurrencyConfigCommand,
} from "@aws-sdk/client-lambda";
import { clause } from "./clause.ts";
import {
	arnOf,
	conflict,
	guide,
	invalid,
	notFound,
	publish,
	raw,
	recorded,
	refused,
	start,
	validation,
} from "./control-api.ts";

const area = "Concurrency";
const FunctionName = "f";
const reserve = (ReservedConcurrentExecutions: number, name = FunctionName) =>
	new PutFunctionConcurrencyCommand({ FunctionName: name, ReservedConcurrentExecutions });
const provision = (Qualifier: string, ProvisionedConcurrentExecutions = 1, name = FunctionName) =>
	new PutProvisionedConcurrencyConfigCommand({ FunctionName: name, Qualifier, ProvisionedConcurrentExecutions });
const provisioned = (Qualifier: string, name = FunctionName) =>
	new GetProvisionedConcurrencyConfigCommand({ FunctionName: name, Qualifier });
const unprovision = (Qualifier: string, name = FunctionName) =>
	new DeleteProvisionedConcurrencyConfigCommand({ FunctionName: name, Qualifier });
const noConfiguration = "No Provisioned Concurrency Config found for this function";

async function withVersionsAndAlias() {
	const test = await start("f");
	await publish(test, "f", 2);
	await test.client.send(new CreateAliasCommand({ FunctionName, Name: "live", FunctionVersion: "1" }));
	return test;
}

async function ready(client: LambdaClient, qualifier: string) {
	for (;;) {
		const view = await client.send(provisioned(qualifier));
		if (view.Status !== "IN_PROGRESS") return view;
		await setTimeout(10);
	}
}

describe("Reserved concurrency", () => {
	clause(
		{
			area,
			says: "PutFunctionConcurrency reserves, 0 too, and DeleteFunctionConcurrency gives back, both any number of times",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			const read = async () =>
				(await test.client.send(new GetFunctionConcurrencyCommand({ FunctionName }))).ReservedConcurrentExecutions;
			assert.equal(await read(), undefined);
			for (const executions of [0, 1, 1]) {
				const put = await test.client.send(reserve(executions));
				assert.deepEqual([put.$metadata.httpStatusCode, put.ReservedConcurrentExecutions], [200, executions]);
				assert.equal(await read(), executions);
			}
			for (let i = 0; i < 2; i++) {
				const gone = await test.client.send(new DeleteFunctionConcurrencyCommand({ FunctionName }));
				assert.equal(gone.$metadata.httpStatusCode, 204);
				assert.equal(await read(), undefined);
			}
		},
	);

	clause(
		{
			area,
			says: "GetFunction shows the reservation, though not with a qualifier",
			source: "https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lambda/function.go",
		},
		async () => {
			await using test = await start("f");
			await test.client.send(reserve(7));
			const read = async (name: string) =>
				(await test.client.send(new GetFunctionCommand({ FunctionName: name }))).Concurrency;
			assert.deepEqual(await read("f"), { ReservedConcurrentExecutions: 7 });
			assert.equal(await read("f:$LATEST"), undefined);
		},
	);

	clause(
		{
			area,
			says: "100 of the account's concurrency always stay unreserved",
			source: guide("configuration-concurrency"),
		},
		async () => {
			await using test = await start("f", "g");
			const limits = async () => (await test.client.send(new GetAccountSettingsCommand({}))).AccountLimit;
			assert.equal((await limits())?.UnreservedConcurrentExecutions, 1000);
			await test.client.send(reserve(800));
			assert.equal((await limits())?.UnreservedConcurrentExecutions, 200);
			await refused(
				test.client.send(reserve(101, "g")),
				400,
				invalid,
				"Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].",
			);
			await test.client.send(reserve(100, "g"));
			assert.equal((await limits())?.UnreservedConcurrentExecutions, 100);
			await test.client.send(reserve(10));
			assert.equal((await limits())?.UnreservedConcurrentExecutions, 890);
		},
	);

	clause(
		{
			area,
			says: "Reserving for a function that is not there names it with $LATEST; for a version it is refused",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			await refused(test.client.send(reserve(1, "g")), 404, notFound, `Function not found: ${arnOf("g")}:$LATEST`);
			await refused(
				test.client.send(new GetFunctionConcurrencyCommand({ FunctionName: "g" })),
				404,
				notFound,
				`Function not found: ${arnOf("g")}`,
			);
			await refused(
				test.client.send(reserve(1, `${arnOf("f")}:1`)),
				400,
				invalid,
				"This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.",
			);
			await refused(test.client.send(reserve(-1)), 400, validation, /'reservedConcurrentExecutions'.*or equal to 0$/);
		},
	);
});

describe("Provisioned concurrency", () => {
	clause(
		{
			area,
			says: "PutProvisionedConcurrencyConfig answers 202 IN_PROGRESS with nothing allocated, and becomes READY",
			source: recorded,
		},
		async () => {
			await using test = await withVersionsAndAlias();
			const { $metadata, LastModified, ...put } = await test.client.send(provision("1"));
			assert.equal($metadata.httpStatusCode, 202);
			assert.match(LastModified ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000$/);
			assert.deepEqual(put, {
				RequestedProvisionedConcurrentExecutions: 1,
				AllocatedProvisionedConcurrentExecutions: 0,
				AvailableProvisionedConcurrentExecutions: 0,
				Status: "IN_PROGRESS",
			});
			const view = await ready(test.client, "1");
			assert.deepEqual(
				[view.Status, view.AllocatedProvisionedConcurrentExecutions, view.AvailableProvisionedConcurrentExecutions],
				["READY", 1, 1],
			);
		},
	);

	clause(
		{ area, says: "A version or an alias of it has provisioned concurrency, not both", source: recorded },
		async () => {
			await using test = await withVersionsAndAlias();
			await test.client.send(provision("1"));
			await refused(
				test.client.send(provision("live")),
				409,
				conflict,
				"Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
			);
			const gone = await test.client.send(unprovision("1"));
			assert.equal(gone.$metadata.httpStatusCode, 204);
			await test.client.send(provision("live"));
			await refused(
				test.client.send(provision("1")),
				409,
				conflict,
				"Version is pointed by a Provisioned Concurrency alias",
			);
		},
	);

	clause(
		{ area, says: "$LATEST can't have provisioned concurrency, nor can fewer than one", source: recorded },
		async () => {
			await using test = await start("f");
			const eitherOf = "The function resource provided must be an alias or a published version.";
			await refused(
				test.client.send(provision("$LATEST")),
				400,
				invalid,
				"Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
			);
			await refused(test.client.send(provisioned("$LATEST")), 400, invalid, eitherOf);
			await refused(test.client.send(unprovision("$LATEST")), 400, invalid, eitherOf);
			await refused(
				test.client.send(provision("1", 0)),
				400,
				validation,
				"1 validation error detected: Value '0' at 'provisionedConcurrentExecutions' failed to satisfy constraint: Member must have value greater than or equal to 1",
			);
		},
	);

	clause(
		{
			area,
			says: "Without a configuration a read is ProvisionedConcurrencyConfigNotFoundException, and a deletion 204",
			source: recorded,
		},
		async () => {
			await using test = await withVersionsAndAlias();
			await refused(
				test.client.send(provisioned("1")),
				404,
				"ProvisionedConcurrencyConfigNotFoundException",
				noConfiguration,
			);
			for (let i = 0; i < 2; i++)
				assert.equal((await test.client.send(unprovision("1"))).$metadata.httpStatusCode, 204);
		},
	);

	clause(
		{
			area,
			says: "Provisioned concurrency names what is not there by its form: a version's ARN or an alias's",
			source: recorded,
		},
		async () => {
			await using test = await withVersionsAndAlias();
			for (const name of ["f", "g"])
				for (const send of [provision, provisioned, unprovision]) {
					const ask = (qualifier: string) =>
						test.client.send(
							send === provision
								? provision(qualifier, 1, name)
								: (send as (q: string, n: string) => never)(qualifier, name),
						);
					await refused(ask("none"), 404, notFound, `Cannot find alias arn: ${arnOf(name)}:none`);
					await refused(ask("10"), 404, notFound, `Function not found: ${arnOf(name)}:10`);
				}
			await refused(
				test.client.send(new ListProvisionedConcurrencyConfigsCommand({ FunctionName: "g" })),
				404,
				notFound,
				`Function not found: ${arnOf("g")}`,
			);
		},
	);

	clause(
		{
			area,
			says: "ProvisionedConcurrencyConfigNotFoundException has Type and message in its body, its name in x-amzn-ErrorType",
			source: recorded,
		},
		async () => {
			await using test = await withVersionsAndAlias();
			const url = "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=";
			assert.deepEqual(await raw(test.front, "GET", `${url}1`), {
				status: 404,
				type: "ProvisionedConcurrencyConfigNotFoundException",
				body: { Type: "User", message: noConfiguration },
			});
			assert.deepEqual(await raw(test.front, "GET", `${url}9`), {
				status: 404,
				type: notFound,
				body: { Type: "User", Message: `Function not found: ${arnOf("f")}:9` },
			});
		},
	);

	clause(
		{ area, says: "ListProvisionedConcurrencyConfigs gives them by qualified ARN, in pages", source: recorded },
		async () => {
			await using test = await withVersionsAndAlias();
			const list = (Marker?: string) =>
				test.client.send(new ListProvisionedConcurrencyConfigsCommand({ FunctionName, MaxItems: 1, Marker }));
			assert.deepEqual((await list()).ProvisionedConcurrencyConfigs, []);
			await test.client.send(provision("2"));
			await test.client.send(provision("live"));
			const first = await list();
			const second = await list(first.NextMarker);
			assert.deepEqual(
				[first, second].flatMap((page) => page.ProvisionedConcurrencyConfigs?.map((one) => one.FunctionArn)),
				[`${arnOf("f")}:2`, `${arnOf("f")}:live`],
			);
			assert.equal(second.NextMarker, undefined);
		},
	);

	clause(
		{
			area,
			says: "Provisioned concurrency fits into what the function has reserved, or the account has unreserved",
			source: recorded,
		},
		async () => {
			await using test = await withVersionsAndAlias();
			await refused(
				test.client.send(provision("1", 1001)),
				400,
				invalid,
				"Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [1000].",
			);
			await refused(
				test.client.send(provision("1", 901)),
				400,
				invalid,
				/decreases account's UnreservedConcurrentExecution below its minimum value of \[100\]\.$/,
			);
		},
	);
});
