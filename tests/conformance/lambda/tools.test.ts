/** boto3 and the aws CLI against the control API: their waiters, paginators, parsers and error classes. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe } from "node:test";
import { promisify } from "node:util";
import { testKeys, testRegion, testRole } from "../../../src/front/aws/test-front.ts";
import { clause } from "./clause.ts";
import { arnOf, imageUri, publish, start } from "./control-api.ts";

const area = "Tools";
const run = promisify(execFile);
/** Milliseconds; Python and botocore's models take a second of their own to start. */
const timeout = 60_000;
const environment = {
	PATH: process.env.PATH,
	HOME: "/nonexistent",
	AWS_ACCESS_KEY_ID: testKeys.accessKeyId,
	AWS_SECRET_ACCESS_KEY: testKeys.secretAccessKey,
	AWS_DEFAULT_REGION: testRegion,
	AWS_EC2_METADATA_DISABLED: "true",
};
const missing = (command: string, args: string[], why: string) =>
	run(command, args).then(
		() => undefined,
		() => why,
	);
const noBoto3 = await missing("python3", ["-c", "import boto3"], "python3 has no boto3");
const noCli = await missing("aws", ["--version"], "the aws command is not installed");

describe("Tools", () => {
	clause(
		{
			area,
			says: "boto3 creates, waits, publishes, aliases, permits, reserves, provisions, gives URLs and deletes",
			source: "https://boto3.amazonaws.com/v1/documentation/api/latest/reference/services/lambda.html",
		},
		async () => {
			await using test = await start();
			const script = join(import.meta.dirname, "tools-boto3.py");
			const { stdout } = await run("python3", [script, test.front.url, testRole, imageUri], {
				env: environment,
				timeout,
			});
			const { policy, url, ...seen } = JSON.parse(stdout);
			const called = (operation: string) => `when calling the ${operation} operation`;
			const arn = arnOf("py");
			assert.deepEqual(seen, {
				"during update": [
					"ResourceConflictException",
					409,
					`An error occurred (ResourceConflictException) ${called("UpdateFunctionConfiguration")}: The operation cannot be performed at this time. An update is in progress for resource: ${arn}`,
				],
				published: "2",
				versions: ["$LATEST", "1", "2"],
				alias: { AdditionalVersionWeights: { "1": 0.25 } },
				"by alias": "2",
				"no alias": [
					"ResourceNotFoundException",
					404,
					`An error occurred (ResourceNotFoundException) ${called("GetAlias")}: Cannot find alias arn: ${arn}:none`,
				],
				"no policy": "The resource you requested does not exist.",
				reserved: 7,
				provisioned: [202, "IN_PROGRESS"],
				"not provisioned": [
					"ProvisionedConcurrencyConfigNotFoundException",
					404,
					`An error occurred (ProvisionedConcurrencyConfigNotFoundException) ${called("GetProvisionedConcurrencyConfig")}: No Provisioned Concurrency Config found for this function`,
				],
				"no url": [
					"ResourceNotFoundException",
					404,
					`An error occurred (ResourceNotFoundException) ${called("GetFunctionUrlConfig")}: The resource you requested does not exist.`,
				],
				deleted: [
					"ResourceNotFoundException",
					404,
					`An error occurred (ResourceNotFoundException) ${called("GetFunction")}: Function not found: ${arn}`,
				],
			});
			assert.deepEqual(policy.Statement[0].Condition, { StringEquals: { "AWS:SourceAccount": "123456789012" } });
			assert.deepEqual(url.slice(0, 2), ["NONE", { AllowOrigins: ["*"] }]);
			assert.match(url[2], /^http:\/\/[a-z0-9]{32}\.lambda-url\./);
		},
		{ skip: noBoto3, timeout },
	);

	clause(
		{
			area,
			says: "The aws CLI publishes, aliases, permits, reserves, provisions and gives URLs",
			source: "https://docs.aws.amazon.com/cli/latest/reference/lambda/",
		},
		async () => {
			await using test = await start("cli");
			await publish(test, "cli", 1);
			const aws = async (operation: string, ...args: string[]) => {
				const { stdout } = await run(
					"aws",
					[
						"--endpoint-url",
						test.front.url,
						"--output",
						"json",
						"lambda",
						operation,
						"--function-name",
						"cli",
						...args,
					],
					{ env: environment, timeout },
				);
				return stdout === "" ? undefined : JSON.parse(stdout);
			};
			assert.equal((await aws("publish-version")).Version, "1");
			const alias = ["--name", "live", "--function-version"];
			assert.equal((await aws("create-alias", ...alias, "1")).AliasArn, `${arnOf("cli")}:live`);
			assert.equal((await aws("get-function", "--qualifier", "live")).Configuration.Version, "1");
			const permission = ["--statement-id", "s", "--action", "lambda:InvokeFunction", "--principal", "*"];
			assert.equal(JSON.parse((await aws("add-permission", ...permission)).Statement).Principal, "*");
			assert.equal(JSON.parse((await aws("get-policy")).Policy).Id, "default");
			const reserved = { ReservedConcurrentExecutions: 2 };
			assert.deepEqual(await aws("put-function-concurrency", "--reserved-concurrent-executions", "2"), reserved);
			assert.deepEqual(await aws("get-function-concurrency"), reserved);
			const provisioned = ["--qualifier", "1", "--provisioned-concurrent-executions", "1"];
			assert.equal((await aws("put-provisioned-concurrency-config", ...provisioned)).Status, "IN_PROGRESS");
			const url = await aws("create-function-url-config", "--auth-type", "AWS_IAM");
			assert.equal((await aws("list-function-url-configs")).FunctionUrlConfigs[0].FunctionUrl, url.FunctionUrl);
			assert.equal(await aws("delete-function-url-config"), undefined);
			await assert.rejects(aws("delete-function", "--qualifier", "1"), (error: { stderr: string }) => {
				assert.match(error.stderr, /\(ResourceConflictException\).*aliases reference it: \[live\]/);
				return true;
			});
		},
		{ skip: noCli, timeout },
	);
});
