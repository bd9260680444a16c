import assert from "node:assert/strict";
import { describe } from "node:test";
import { type CreateFunctionCommandInput, UpdateFunctionCodeCommand } from "@aws-sdk/client-lambda";
import { testRole } from "../../../src/front/aws/test-front.ts";

import { clause } from "./clause.ts";
import { api, arnOf, create, guide, imageUri, raw, recorded, refused, start } from "./control-api.ts";

const area = "Functions";

describe("Functions: validation", () => {
	clause(
		{ area, says: "Each broken constraint is named in AWS's words, all of them at once", source: recorded },
		async () => {
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
		},
	);

	clause(
		{
			area,
			says: "Names of environment variables begin with a letter and have two characters or more; the values are not shown in the refusal",
			source: guide("configuration-envvars"),
		},
		async () => {
			await using test = await start();
			for (const name of ["A", "1A", "_HANDLER_", "A-B", "__proto__"])
				await refused(
					test.client.send(create("f", { Environment: { Variables: Object.fromEntries([[name, "secret"]]) } })),
					400,
					"ValidationException",
					"1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]",
				);
			await refused(
				test.client.send(create("f", { Environment: { Variables: { AWS_REGION: "x" } } })),
				400,
				"InvalidParameterValueException",
				/reserved keys that are currently not supported for modification\. Reserved keys used in this request: AWS_REGION$/,
			);
			await refused(
				test.client.send(create("f", { Environment: { Variables: { LARGE_VAR: "x".repeat(4096) } } })),
				400,
				"InvalidParameterValueException",
				/^Lambda was unable to configure your environment variables because .* exceeded the 4KB limit\. String measured: \{"LARGE_VAR":"x+"\}$/,
			);
		},
	);

	clause(
		{ area, says: "Missing members and members of another type are refused", source: api("CommonErrors") },
		async () => {
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
		},
	);

	clause(
		{
			area,
			says: "CreateFunction runs zip packages and connects functions to VPCs and more",
			source: api("CreateFunction"),
			differs: "Slipway runs container images only; what it can't do it refuses by name, and does nothing",
		},
		async () => {
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
			await refused(
				test.client.send(create("f", { Code: { ImageUri: "localhost/missing:1" } })),
				400,
				invalid,
				"Source image localhost/missing:1 does not exist. Provide a valid source image.",
			);
			await refused(
				test.client.send(create("there")),
				409,
				"ResourceConflictException",
				"Function already exist: there",
			);
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
		},
	);

	clause(
		{
			area,
			says: "Errors have their name in x-amzn-ErrorType, a Type, and Message or message as the error's shape has it",
			source: recorded,
		},
		async () => {
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
		},
	);
});
