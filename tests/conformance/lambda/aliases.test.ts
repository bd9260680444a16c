import assert from "node:assert/strict";
import { describe } from "node:test";
import {
	type AliasConfiguration,
	CreateAliasCommand,
	type CreateAliasCommandInput,
	DeleteAliasCommand,
	GetAliasCommand,
	GetFunctionCommand,
	ListAliasesCommand,
	UpdateAliasCommand,
} from "@aws-sdk/client-lambda";
import { clause } from "./clause.ts";
import {
	api,
	arnOf,
	conflict,
	guide,
	invalid,
	notFound,
	publish,
	recorded,
	refused,
	start,
	validation,
} from "./control-api.ts";

const area = "Versions and aliases";
const FunctionName = "f";
type Start = Awaited<ReturnType<typeof start>>;

const alias = (Name: string, FunctionVersion: string, more: Partial<CreateAliasCommandInput> = {}) =>
	new CreateAliasCommand({ FunctionName, Name, FunctionVersion, ...more });
const weights = (AdditionalVersionWeights: Record<string, number>) => ({ RoutingConfig: { AdditionalVersionWeights } });

async function published(): Promise<Start> {
	const test = await start("f");
	await publish(test, "f", 2);
	return test;
}

describe("Aliases", () => {
	clause(
		{
			area,
			says: "CreateAlias, GetAlias and UpdateAlias answer with the alias whole, of the recorded shape",
			source: recorded,
		},
		async () => {
			await using test = await published();
			const { $metadata, RevisionId, ...made } = await test.client.send(
				alias("live", "1", { Description: "in use", ...weights({ "2": 0.2 }) }),
			);
			assert.equal($metadata.httpStatusCode, 201);
			const whole = {
				AliasArn: `${arnOf("f")}:live`,
				Name: "live",
				FunctionVersion: "1",
				Description: "in use",
				RoutingConfig: { AdditionalVersionWeights: { "2": 0.2 } },
			};
			assert.deepEqual(made, whole);
			const { $metadata: read, ...got } = await test.client.send(new GetAliasCommand({ FunctionName, Name: "live" }));
			assert.deepEqual([read.httpStatusCode, got], [200, { ...whole, RevisionId }]);
			const updated = await test.client.send(new UpdateAliasCommand({ FunctionName, Name: "live", ...weights({}) }));
			assert.deepEqual(
				[updated.RoutingConfig, updated.Description, updated.FunctionVersion],
				[undefined, "in use", "1"],
			);
			assert.notEqual(updated.RevisionId, RevisionId);
			const plain = await test.client.send(alias("2024-01-02", "$LATEST"));
			assert.deepEqual([plain.Description, plain.RoutingConfig, plain.FunctionVersion], ["", undefined, "$LATEST"]);
		},
	);

	clause(
		{
			area,
			says: "GetFunction by an alias shows the version that it points to, under the alias's ARN",
			source: recorded,
		},
		async () => {
			await using test = await published();
			await test.client.send(alias("live", "2"));
			for (const name of ["f:live", `${arnOf("f")}:live`]) {
				const { Configuration } = await test.client.send(new GetFunctionCommand({ FunctionName: name }));
				assert.deepEqual(
					[Configuration?.FunctionArn, Configuration?.Version, Configuration?.State],
					[`${arnOf("f")}:live`, "2", "Active"],
				);
			}
			const beside = await test.client.send(new GetFunctionCommand({ FunctionName, Qualifier: "live" }));
			assert.equal(beside.Configuration?.Version, "2");
			await refused(
				test.client.send(new GetFunctionCommand({ FunctionName: "f:none" })),
				404,
				notFound,
				`Function not found: ${arnOf("f")}:none`,
			);
		},
	);

	clause(
		{
			area,
			says: "Routing takes one more version, another than the alias's own, and neither may be $LATEST",
			source: recorded,
		},
		async () => {
			await using test = await published();
			await refused(
				test.client.send(alias("a", "1", weights({ "1": 0.1, "2": 0.1 }))),
				400,
				invalid,
				"Number of items in AdditionalVersionWeights cannot be greater than 1",
			);
			await refused(
				test.client.send(alias("a", "1", weights({ "1": 0.5 }))),
				400,
				invalid,
				"Invalid function version 1. Function version 1 is already included in routing configuration.",
			);
			await refused(
				test.client.send(alias("a", "$LATEST", weights({ "1": 0.5 }))),
				400,
				invalid,
				"$LATEST is not supported for an alias pointing to more than 1 version",
			);
			const atWeights = "at 'routingConfig.additionalVersionWeights' failed to satisfy constraint";
			for (const weight of [2, -1])
				await refused(
					test.client.send(alias("a", "1", weights({ "2": weight }))),
					400,
					validation,
					`1 validation error detected: Value '{2=${weight}.0}' ${atWeights}: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be null]`,
				);
			await refused(
				test.client.send(alias("a", "1", weights({ $LATEST: 0.5 }))),
				400,
				validation,
				`1 validation error detected: Value '{$LATEST=0.5}' ${atWeights}: Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]`,
			);
			assert.deepEqual((await test.client.send(new ListAliasesCommand({ FunctionName }))).Aliases, []);
		},
	);

	clause(
		{
			area,
			says: "What an alias names has to be there: an unknown version, function or alias is a 404 that names its ARN",
			source: recorded,
		},
		async () => {
			await using test = await published();
			const missing = (name: string) => `Function not found: ${arnOf(name)}`;
			await refused(test.client.send(alias("a", "10")), 404, notFound, missing("f:10"));
			await refused(test.client.send(alias("a", "1", weights({ "10": 0.5 }))), 404, notFound, missing("f:10"));
			await refused(test.client.send(alias("a", "1", { FunctionName: "g" })), 404, notFound, missing("g:1"));
			await refused(
				test.client.send(new GetAliasCommand({ FunctionName, Name: "none" })),
				404,
				notFound,
				`Cannot find alias arn: ${arnOf("f")}:none`,
			);
			await refused(
				test.client.send(new UpdateAliasCommand({ FunctionName, Name: "none", Description: "" })),
				404,
				notFound,
				`Alias not found: ${arnOf("f")}:none`,
			);
		},
	);

	clause(
		{
			area,
			says: "Any name of letters, digits, - and _ is an alias's, whatever it means elsewhere",
			source: api("CreateAlias"),
		},
		async () => {
			await using test = await published();
			for (const Name of ["constructor", "__proto__", "toString", "LATEST", "-"]) {
				await refused(test.client.send(new GetAliasCommand({ FunctionName, Name })), 404, notFound, /^Cannot find/);
				await test.client.send(alias(Name, "1"));
				const { Configuration } = await test.client.send(new GetFunctionCommand({ FunctionName: `f:${Name}` }));
				assert.equal(Configuration?.Version, "1");
			}
			const { Aliases } = await test.client.send(new ListAliasesCommand({ FunctionName }));
			assert.equal(Aliases?.length, 5);
		},
	);

	clause(
		{ area, says: "A second alias of a name is a 409, and a name of digits alone is none", source: recorded },
		async () => {
			await using test = await published();
			await test.client.send(alias("live", "1"));
			await refused(test.client.send(alias("live", "2")), 409, conflict, `Alias already exists: ${arnOf("f")}:live`);
			await refused(
				test.client.send(alias("2024", "1")),
				400,
				validation,
				"1 validation error detected: Value '2024' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)",
			);
		},
	);

	clause({ area, says: "UpdateAlias refuses another RevisionId with 412", source: recorded }, async () => {
		await using test = await published();
		const { RevisionId } = await test.client.send(alias("live", "1"));
		const update = (revision: string | undefined) =>
			test.client.send(
				new UpdateAliasCommand({ FunctionName, Name: "live", FunctionVersion: "2", RevisionId: revision }),
			);
		await refused(
			update("stale"),
			412,
			"PreconditionFailedException",
			"The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
		);
		assert.equal((await update(RevisionId)).FunctionVersion, "2");
	});

	clause({ area, says: "DeleteAlias answers 204, whether or not the alias was there", source: recorded }, async () => {
		await using test = await published();
		await test.client.send(alias("live", "1"));
		for (let i = 0; i < 2; i++) {
			const gone = await test.client.send(new DeleteAliasCommand({ FunctionName, Name: "live" }));
			assert.equal(gone.$metadata.httpStatusCode, 204);
		}
		await refused(test.client.send(new GetAliasCommand({ FunctionName, Name: "live" })), 404, notFound, /alias arn/);
	});

	clause(
		{
			area,
			says: "ListAliases gives the aliases by name, in pages, and those of one version when asked",
			source: api("ListAliases"),
		},
		async () => {
			await using test = await published();
			for (const [name, version] of [
				["c", "1"],
				["a", "2"],
				["b", "1"],
			] as const)
				await test.client.send(alias(name, version));
			const names = (page: { Aliases?: AliasConfiguration[] }) => page.Aliases?.map((one) => one.Name);
			const first = await test.client.send(new ListAliasesCommand({ FunctionName, MaxItems: 2 }));
			assert.deepEqual(names(first), ["a", "b"]);
			const rest = await test.client.send(new ListAliasesCommand({ FunctionName, Marker: first.NextMarker }));
			assert.deepEqual([names(rest), rest.NextMarker], [["c"], undefined]);
			const ofOne = await test.client.send(new ListAliasesCommand({ FunctionName, FunctionVersion: "1" }));
			assert.deepEqual(names(ofOne), ["b", "c"]);
			await refused(
				test.client.send(new ListAliasesCommand({ FunctionName: "g" })),
				404,
				notFound,
				`Function not found: ${arnOf("g")}`,
			);
		},
	);

	clause(
		{ area, says: "An alias moves to another version at once", source: guide("configuration-aliases") },
		async () => {
			await using test = await published();
			await test.client.send(alias("live", "1"));
			await test.client.send(new UpdateAliasCommand({ FunctionName, Name: "live", FunctionVersion: "2" }));
			const { Configuration } = await test.client.send(new GetFunctionCommand({ FunctionName: "f:live" }));
			assert.equal(Configuration?.Version, "2");
		},
	);
});
