import assert from "node:assert/strict";
import { describe } from "node:test";
import {
	CreateAliasCommand,
	CreateFunctionUrlConfigCommand,
	type CreateFunctionUrlConfigCommandInput,
	DeleteFunctionCommand,
	DeleteFunctionUrlConfigCommand,
	type FunctionUrlConfig,
	GetFunctionUrlConfigCommand,
	ListFunctionUrlConfigsCommand,
	UpdateFunctionUrlConfigCommand,
} from "@aws-sdk/client-lambda";
import { testRegion } from "../../../src/front/aws/test-front.ts";
import { clause } from "./clause.ts";
import { api, arnOf, conflict, guide, notFound, publish, recorded, refused, start, validation } from "./control-api.ts";

const area = "Function URLs";
const FunctionName = "f";
const noResource = "The resource you requested does not exist.";
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/;

const create = (more: Partial<CreateFunctionUrlConfigCommandInput> = {}) =>
	new CreateFunctionUrlConfigCommand({ FunctionName, AuthType: "NONE", ...more });
const get = (Qualifier?: string) => new GetFunctionUrlConfigCommand({ FunctionName, Qualifier });

async function withAlias() {
	const test = await start("f");
	await publish(test, "f", 1);
	await test.client.send(new CreateAliasCommand({ FunctionName, Name: "live", FunctionVersion: "1" }));
	return test;
}

describe("Function URL configurations", () => {
	clause(
		{
			area,
			says: "CreateFunctionUrlConfig answers with the URL and without an InvokeMode that was not given",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			const { $metadata, FunctionUrl, CreationTime, ...made } = await test.client.send(create());
			assert.equal($metadata.httpStatusCode, 201);
			assert.match(FunctionUrl ?? "", new RegExp(`^https?://[a-z0-9]{32}\\.lambda-url\\.${testRegion}\\.[^/]+/$`));
			assert.match(CreationTime ?? "", time);
			assert.deepEqual(made, { FunctionArn: arnOf("f"), AuthType: "NONE" });
		},
	);

	clause(
		{
			area,
			says: "A URL is https://ID.lambda-url.REGION.on.aws/ for good",
			source: guide("urls-configuration"),
			differs: "It is the daemon's own, http://ID.lambda-url.REGION.HOST:PORT/, and follows its port; the id stays",
		},
		async () => {
			await using test = await start("f");
			const { FunctionUrl } = await test.client.send(create());
			const { protocol, hostname, port, pathname } = new URL(FunctionUrl ?? "");
			assert.match(hostname, new RegExp(`^[a-z0-9]{32}\\.lambda-url\\.${testRegion}\\.localhost$`));
			assert.deepEqual([protocol, port, pathname], ["http:", new URL(test.front.url).port, "/"]);
		},
	);

	clause(
		{ area, says: "GetFunctionUrlConfig shows the default InvokeMode BUFFERED and both times", source: recorded },
		async () => {
			await using test = await start("f");
			const { $metadata: _, ...made } = await test.client.send(create());
			const { $metadata, LastModifiedTime, ...got } = await test.client.send(get());
			assert.deepEqual([$metadata.httpStatusCode, got], [200, { ...made, InvokeMode: "BUFFERED" }]);
			assert.match(LastModifiedTime ?? "", time);
		},
	);

	clause(
		{
			area,
			says: "UpdateFunctionUrlConfig changes what is given, keeps the rest and the URL, and shows no InvokeMode that was not given",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			const made = await test.client.send(create({ InvokeMode: "RESPONSE_STREAM", Cors: { AllowOrigins: ["*"] } }));
			assert.equal(made.InvokeMode, "RESPONSE_STREAM");
			const updated = await test.client.send(new UpdateFunctionUrlConfigCommand({ FunctionName, AuthType: "AWS_IAM" }));
			assert.deepEqual(
				[updated.AuthType, updated.InvokeMode, updated.FunctionUrl, updated.Cors],
				["AWS_IAM", undefined, made.FunctionUrl, { AllowOrigins: ["*"] }],
			);
			const got = await test.client.send(get());
			assert.deepEqual([got.AuthType, got.InvokeMode], ["AWS_IAM", "RESPONSE_STREAM"]);
		},
	);

	clause(
		{
			area,
			says: "Cors comes back as it was given, and an empty one takes it away",
			source: api("UpdateFunctionUrlConfig"),
		},
		async () => {
			await using test = await start("f");
			const Cors = {
				AllowCredentials: true,
				AllowHeaders: ["x-a"],
				AllowMethods: ["GET", "POST"],
				AllowOrigins: ["https://example.com"],
				ExposeHeaders: ["x-b"],
				MaxAge: 60,
			};
			assert.deepEqual((await test.client.send(create({ Cors }))).Cors, Cors);
			assert.deepEqual((await test.client.send(get())).Cors, Cors);
			await test.client.send(new UpdateFunctionUrlConfigCommand({ FunctionName, Cors: {} }));
			assert.equal((await test.client.send(get())).Cors, undefined);
		},
	);

	clause(
		{ area, says: "Cors takes methods of six letters at most and an age of one day", source: api("Cors") },
		async () => {
			await using test = await start("f");
			await refused(
				test.client.send(create({ Cors: { AllowMethods: ["OPTIONS"] } })),
				400,
				validation,
				"1 validation error detected: Value '[OPTIONS]' at 'cors.allowMethods' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 6, Member must have length greater than or equal to 0, Member must satisfy regular expression pattern: .*, Member must not be null]",
			);
			await refused(
				test.client.send(create({ Cors: { MaxAge: 86_401 } })),
				400,
				validation,
				"1 validation error detected: Value '86401' at 'cors.maxAge' failed to satisfy constraint: Member must have value less than or equal to 86400",
			);
		},
	);

	clause({ area, says: "A function has one URL, and each of its aliases another", source: recorded }, async () => {
		await using test = await withAlias();
		const own = await test.client.send(create());
		const aliased = await test.client.send(create({ Qualifier: "live" }));
		assert.equal(aliased.FunctionArn, `${arnOf("f")}:live`);
		assert.notEqual(aliased.FunctionUrl, own.FunctionUrl);
		await refused(
			test.client.send(create()),
			409,
			conflict,
			`Failed to create function url config for [functionArn = ${arnOf("f")}]. Error message:  FunctionUrlConfig exists for this Lambda function`,
		);
		const gone = await test.client.send(new DeleteFunctionUrlConfigCommand({ FunctionName }));
		assert.equal(gone.$metadata.httpStatusCode, 204);
		await refused(test.client.send(get()), 404, notFound, noResource);
		assert.equal((await test.client.send(get("live"))).FunctionUrl, aliased.FunctionUrl);
	});

	clause({ area, says: "Versions and $LATEST have no URL", source: recorded }, async () => {
		await using test = await withAlias();
		for (const Qualifier of ["1", "$LATEST"])
			await refused(
				test.client.send(create({ Qualifier })),
				400,
				validation,
				`1 validation error detected: Value '${Qualifier}' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: ((?!^\\d+$)^[0-9a-zA-Z-_]+$)`,
			);
		await refused(test.client.send(create({ FunctionName: "f:1" })), 400, validation, /'qualifier'/);
	});

	clause(
		{ area, says: "Writes say that the function does not exist, reads that the resource does not", source: recorded },
		async () => {
			await using test = await start("f");
			for (const target of [{ FunctionName: "g" }, { FunctionName: arnOf("g") }, { FunctionName, Qualifier: "none" }]) {
				await refused(test.client.send(create(target)), 404, notFound, "Function does not exist");
				await refused(
					test.client.send(new UpdateFunctionUrlConfigCommand({ ...target, AuthType: "NONE" })),
					404,
					notFound,
					"Function does not exist",
				);
				await refused(test.client.send(new GetFunctionUrlConfigCommand(target)), 404, notFound, noResource);
				await refused(test.client.send(new DeleteFunctionUrlConfigCommand(target)), 404, notFound, noResource);
			}
			await refused(
				test.client.send(new UpdateFunctionUrlConfigCommand({ FunctionName, AuthType: "NONE" })),
				404,
				notFound,
				noResource,
			);
		},
	);

	clause(
		{
			area,
			says: "ListFunctionUrlConfigs gives the function's own URL and those of its aliases, in pages",
			source: recorded,
		},
		async () => {
			await using test = await withAlias();
			const list = (Marker?: string) =>
				test.client.send(new ListFunctionUrlConfigsCommand({ FunctionName, MaxItems: 1, Marker }));
			assert.deepEqual((await list()).FunctionUrlConfigs, []);
			await test.client.send(create({ Qualifier: "live" }));
			await test.client.send(create());
			const first = await list();
			const second = await list(first.NextMarker);
			const seen = [first, second].flatMap((page): FunctionUrlConfig[] => page.FunctionUrlConfigs ?? []);
			assert.deepEqual(
				seen.map(({ FunctionArn, InvokeMode }) => [FunctionArn, InvokeMode]),
				[
					[arnOf("f"), "BUFFERED"],
					[`${arnOf("f")}:live`, "BUFFERED"],
				],
			);
			assert.equal(second.NextMarker, undefined);
			await refused(
				test.client.send(new ListFunctionUrlConfigsCommand({ FunctionName: "g" })),
				404,
				notFound,
				"Function does not exist",
			);
		},
	);

	clause(
		{ area, says: "A URL goes with its function, and a new one has another id", source: guide("urls-configuration") },
		async () => {
			await using test = await start("f");
			const before = await test.client.send(create());
			await test.client.send(new DeleteFunctionUrlConfigCommand({ FunctionName }));
			const after = await test.client.send(create());
			assert.notEqual(after.FunctionUrl, before.FunctionUrl);
			await test.client.send(new DeleteFunctionCommand({ FunctionName }));
			await refused(test.client.send(get()), 404, notFound, noResource);
		},
	);
});
