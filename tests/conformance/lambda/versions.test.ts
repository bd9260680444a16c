import assert from "node:assert/strict";
import { describe } from "node:test";
import {
	CreateAliasCommand,
	DeleteFunctionCommand,
	type FunctionConfiguration,
	GetFunctionCommand,
	GetFunctionConfigurationCommand,
	ListFunctionsCommand,
	ListVersionsByFunctionCommand,
	PublishVersionCommand,
	UpdateFunctionCodeCommand,
	waitUntilPublishedVersionActive,
} from "@aws-sdk/client-lambda";
import { clause } from "./clause.ts";
import {
	api,
	arnOf,
	configure,
	conflict,
	create,
	guide,
	imageUri,
	invalid,
	notFound,
	publish,
	recorded,
	refused,
	start,
	waiting,
} from "./control-api.ts";

const area = "Versions and aliases";
const FunctionName = "f";

describe("Versions", () => {
	clause(
		{
			area,
			says: "PublishVersion makes the next number of what $LATEST is, under an ARN of its own",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			const first = await test.client.send(new PublishVersionCommand({ FunctionName, Description: "the first" }));
			assert.equal(first.$metadata.httpStatusCode, 201);
			assert.deepEqual(
				[first.Version, first.FunctionArn, first.Description, first.State, first.LastUpdateStatus],
				["1", `${arnOf("f")}:1`, "the first", "Active", "Successful"],
			);
			const latest = await test.client.send(new GetFunctionCommand({ FunctionName }));
			assert.deepEqual([latest.Configuration?.Version, latest.Configuration?.Description], ["$LATEST", ""]);
			assert.notEqual(latest.Configuration?.RevisionId, first.RevisionId);
			await configure(test, "f", "changed");
			assert.equal((await test.client.send(new PublishVersionCommand({ FunctionName }))).Version, "2");
		},
	);

	clause(
		{
			area,
			says: "Publishing when neither code nor configuration has changed makes nothing and answers with the version before",
			source: guide("configuration-versions"),
		},
		async () => {
			await using test = await start("f");
			const first = await test.client.send(new PublishVersionCommand({ FunctionName }));
			const again = await test.client.send(new PublishVersionCommand({ FunctionName, Description: "another" }));
			assert.equal(again.$metadata.httpStatusCode, 201);
			assert.deepEqual({ ...again, $metadata: 0 }, { ...first, $metadata: 0 });
		},
	);

	clause(
		{
			area,
			says: "A published version stays what it was, whatever becomes of $LATEST",
			source: guide("configuration-versions"),
		},
		async () => {
			await using test = await start("f");
			await test.client.send(new PublishVersionCommand({ FunctionName }));
			const read = async () => {
				const { Configuration, Code } = await test.client.send(
					new GetFunctionCommand({ FunctionName, Qualifier: "1" }),
				);
				return { Configuration, Code };
			};
			const before = await read();
			await test.client.send(new UpdateFunctionCodeCommand({ FunctionName, ImageUri: "localhost:4747/app:2" }));
			await test.front.functions.settled();
			await configure(test, "f", "changed");
			assert.deepEqual(await read(), before);
			assert.equal(before.Code?.ImageUri, imageUri);
		},
	);

	clause(
		{
			area,
			says: "CreateFunction with Publish answers with version 1 under the function's own ARN, Pending until the image is there",
			source: recorded,
		},
		async () => {
			await using test = await start();
			const made = await test.client.send(create("f", { Publish: true }));
			assert.deepEqual(
				[made.Version, made.FunctionArn, made.State, made.StateReasonCode, made.LastUpdateStatus],
				["1", arnOf("f"), "Pending", "Creating", undefined],
			);
			const version = await test.client.send(new GetFunctionConfigurationCommand({ FunctionName: "f:1" }));
			assert.deepEqual([version.FunctionArn, version.State], [`${arnOf("f")}:1`, "Pending"]);
			await waitUntilPublishedVersionActive(waiting(test.client), { FunctionName, Qualifier: "1" });
			const { Versions } = await test.client.send(new ListVersionsByFunctionCommand({ FunctionName }));
			assert.deepEqual(
				Versions?.map((one) => one.Version),
				["$LATEST", "1"],
			);
			assert.equal((await test.client.send(new PublishVersionCommand({ FunctionName }))).Version, "1");
		},
	);

	clause(
		{
			area,
			says: "UpdateFunctionCode with Publish answers with the new version, Pending, while $LATEST is InProgress",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			const ImageUri = "localhost:4747/app:2";
			const made = await test.client.send(new UpdateFunctionCodeCommand({ FunctionName, ImageUri, Publish: true }));
			assert.equal(made.$metadata.httpStatusCode, 200);
			assert.deepEqual([made.Version, made.FunctionArn, made.State], ["1", `${arnOf("f")}:1`, "Pending"]);
			const latest = await test.client.send(new GetFunctionConfigurationCommand({ FunctionName: "f:$LATEST" }));
			assert.deepEqual([latest.State, latest.LastUpdateStatus], ["Active", "InProgress"]);
			await waitUntilPublishedVersionActive(waiting(test.client), { FunctionName: `${arnOf("f")}:1` });
			const { Code } = await test.client.send(new GetFunctionCommand({ FunctionName: "f:1" }));
			assert.equal(Code?.ImageUri, ImageUri);
		},
	);

	clause(
		{
			area,
			says: "What was published with an image that can't be made ready is Failed, with the reason, and ends the waiter",
			source: guide("functions-states"),
		},
		async () => {
			await using test = await start("g");
			const ImageUri = "localhost:4747/broken:1";
			await test.client.send(create("f", { Code: { ImageUri }, Publish: true }));
			await assert.rejects(waitUntilPublishedVersionActive(waiting(test.client), { FunctionName, Qualifier: "1" }));
			for (const Qualifier of [undefined, "1"]) {
				const got = await test.client.send(new GetFunctionConfigurationCommand({ FunctionName, Qualifier }));
				assert.deepEqual(
					[got.State, got.StateReasonCode, got.StateReason],
					["Failed", "InvalidImage", "A layer of the image is no archive"],
				);
			}
			const update = { FunctionName: "g", ImageUri, Publish: true };
			assert.equal((await test.client.send(new UpdateFunctionCodeCommand(update))).Version, "1");
			await test.front.functions.settled();
			const latest = await test.client.send(new GetFunctionConfigurationCommand({ FunctionName: "g" }));
			assert.deepEqual(
				[latest.State, latest.LastUpdateStatus, latest.LastUpdateStatusReasonCode],
				["Active", "Failed", "InvalidImage"],
			);
			const version = await test.client.send(new GetFunctionConfigurationCommand({ FunctionName: "g:1" }));
			assert.deepEqual([version.State, version.LastUpdateStatus], ["Failed", undefined]);
		},
	);

	clause(
		{
			area,
			says: "UpdateFunctionCode with DryRun checks the image and changes nothing, nor publishes",
			source: api("UpdateFunctionCode"),
		},
		async () => {
			await using test = await start("f");
			const send = (ImageUri: string) =>
				test.client.send(new UpdateFunctionCodeCommand({ FunctionName, ImageUri, DryRun: true, Publish: true }));
			const before = await test.client.send(new GetFunctionCommand({ FunctionName }));
			assert.equal((await send("localhost:4747/app:2")).Version, "$LATEST");
			await refused(send("localhost/missing:1"), 400, invalid, /does not exist/);
			const after = await test.client.send(new GetFunctionCommand({ FunctionName }));
			assert.deepEqual({ ...after, $metadata: 0 }, { ...before, $metadata: 0 });
		},
	);

	clause(
		{
			area,
			says: "PublishVersion refuses another RevisionId with 412 and another CodeSha256 with 400",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			await refused(
				test.client.send(new PublishVersionCommand({ FunctionName, RevisionId: "stale" })),
				412,
				"PreconditionFailedException",
				"The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
			);
			await refused(
				test.client.send(new PublishVersionCommand({ FunctionName, CodeSha256: "a".repeat(64) })),
				400,
				invalid,
				`CodeSHA256 (${"a".repeat(64)}) is different from current CodeSHA256 in $LATEST (${"ab".repeat(32)}). Please try again with the CodeSHA256 in $LATEST.`,
			);
			const { RevisionId, CodeSha256 } = await test.client.send(new GetFunctionConfigurationCommand({ FunctionName }));
			const made = await test.client.send(new PublishVersionCommand({ FunctionName, RevisionId, CodeSha256 }));
			assert.equal(made.Version, "1");
		},
	);

	clause(
		{
			area,
			says: "Publishing waits for nothing: during an update it is a ResourceConflictException, and works on a later try",
			source: api("PublishVersion"),
		},
		async () => {
			await using test = await start("f");
			await test.client.send(new UpdateFunctionCodeCommand({ FunctionName, ImageUri: "localhost:4747/app:2" }));
			await refused(
				test.client.send(new PublishVersionCommand({ FunctionName })),
				409,
				conflict,
				`The operation cannot be performed at this time. An update is in progress for resource: ${arnOf("f")}`,
			);
			await test.front.functions.settled();
			assert.equal((await test.client.send(new PublishVersionCommand({ FunctionName }))).Version, "1");
		},
	);

	clause(
		{
			area,
			says: "ListVersionsByFunction gives $LATEST first and then the numbers, by qualified ARNs, in pages, without the states",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			await publish(test, "f", 11);
			const seen: FunctionConfiguration[] = [];
			let Marker: string | undefined;
			do {
				const page: { Versions?: FunctionConfiguration[]; NextMarker?: string } = await test.client.send(
					new ListVersionsByFunctionCommand({ FunctionName, MaxItems: 5, ...(Marker && { Marker }) }),
				);
				seen.push(...(page.Versions ?? []));
				Marker = page.NextMarker;
			} while (Marker);
			const numbers = ["$LATEST", ...Array.from({ length: 11 }, (_, i) => String(i + 1))];
			assert.deepEqual(
				seen.map((one) => one.Version),
				numbers,
			);
			assert.deepEqual(
				seen.map((one) => one.FunctionArn),
				numbers.map((number) => `${arnOf("f")}:${number}`),
			);
			assert.ok(seen.every((one) => one.State === undefined && one.LastUpdateStatus === undefined));
		},
	);

	clause(
		{
			area,
			says: "ListFunctions with FunctionVersion ALL gives every version of every function, by qualified ARNs, in pages",
			source: recorded,
		},
		async () => {
			await using test = await start("a", "b", "c");
			await publish(test, "a", 2);
			await publish(test, "c", 1);
			const seen: (string | undefined)[] = [];
			let Marker: string | undefined;
			do {
				const page: { Functions?: FunctionConfiguration[]; NextMarker?: string } = await test.client.send(
					new ListFunctionsCommand({ FunctionVersion: "ALL", MaxItems: 2, ...(Marker && { Marker }) }),
				);
				seen.push(...(page.Functions ?? []).map((one) => one.FunctionArn));
				Marker = page.NextMarker;
			} while (Marker);
			assert.deepEqual(
				seen,
				["a:$LATEST", "a:1", "a:2", "b:$LATEST", "c:$LATEST", "c:1"].map((name) => arnOf(name)),
			);
			const plain = await test.client.send(new ListFunctionsCommand({}));
			assert.deepEqual(
				plain.Functions?.map((one) => one.FunctionArn),
				["a", "b", "c"].map(arnOf),
			);
			await refused(
				test.client.send(new ListFunctionsCommand({ FunctionVersion: "invalid" as "ALL" })),
				400,
				"ValidationException",
				"1 validation error detected: Value 'invalid' at 'functionVersion' failed to satisfy constraint: Member must satisfy enum value set: [ALL]",
			);
		},
	);

	clause(
		{
			area,
			says: "DeleteFunction with a version deletes that version only, and its number is never used again",
			source: guide("configuration-versions"),
		},
		async () => {
			await using test = await start("f");
			await publish(test, "f", 2);
			const gone = await test.client.send(new DeleteFunctionCommand({ FunctionName, Qualifier: "2" }));
			assert.equal(gone.$metadata.httpStatusCode, 204);
			await refused(
				test.client.send(new GetFunctionCommand({ FunctionName: "f:2" })),
				404,
				notFound,
				`Function not found: ${arnOf("f")}:2`,
			);
			assert.equal((await test.client.send(new PublishVersionCommand({ FunctionName }))).Version, "3");
		},
	);

	clause(
		{
			area,
			says: "$LATEST and aliases can't be deleted by DeleteFunction, nor a version that an alias points to",
			source: recorded,
		},
		async () => {
			await using test = await start("f");
			await publish(test, "f", 1);
			await test.client.send(new CreateAliasCommand({ FunctionName, Name: "live", FunctionVersion: "1" }));
			const remove = (Qualifier: string) => test.client.send(new DeleteFunctionCommand({ FunctionName, Qualifier }));
			await refused(
				remove("$LATEST"),
				400,
				invalid,
				"$LATEST version cannot be deleted without deleting the function.",
			);
			await refused(remove("live"), 400, invalid, "Deletion of aliases is not currently supported.");
			await refused(remove("1"), 409, conflict, /live/);
			await test.client.send(new GetFunctionCommand({ FunctionName: "f:1" }));
		},
	);

	clause(
		{ area, says: "Deleting a function takes its versions and aliases along", source: api("DeleteFunction") },
		async () => {
			await using test = await start("f");
			await publish(test, "f", 1);
			await test.client.send(new CreateAliasCommand({ FunctionName, Name: "live", FunctionVersion: "1" }));
			await test.client.send(new DeleteFunctionCommand({ FunctionName }));
			await refused(test.client.send(new GetFunctionCommand({ FunctionName: "f:1" })), 404, notFound, /:1$/);
			await test.client.send(create("f"));
			await refused(test.client.send(new GetFunctionCommand({ FunctionName: "f:live" })), 404, notFound, /:live$/);
			const { Versions } = await test.client.send(new ListVersionsByFunctionCommand({ FunctionName }));
			assert.equal(Versions?.length, 1);
		},
	);

	clause({ area, says: "Operations on the function itself refuse a qualified name", source: recorded }, async () => {
		await using test = await start("f");
		await publish(test, "f", 1);
		await refused(
			test.client.send(new PublishVersionCommand({ FunctionName: `${arnOf("f")}:1` })),
			400,
			invalid,
			"This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.",
		);
	});
});
