/** The aws CLI, and botocore by itself, against the front: what people type, and what they see. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import {
	startTestFront,
	type TestFront,
	testAccount,
	testKeys,
	testRegion,
	testRole,
	testToken,
} from "../../src/front/aws/test-front.ts";

const run = promisify(execFile);
const version = await run("aws", ["--version"]).then(
	({ stdout, stderr }) => stdout + stderr,
	() => undefined,
);
const botocore = await run("python3", ["-c", "import botocore"]).then(
	() => true,
	() => false,
);
const curl = await run("curl", ["--version"]).then(
	({ stdout }) => /^curl ([0-9.]+)/.exec(stdout)?.[1],
	() => undefined,
);

describe("aws CLI", { skip: version === undefined && "the aws command is not installed" }, () => {
	let front: TestFront;
	let folder: string;
	before(async () => {
		front = await startTestFront();
		folder = await mkdtemp(join(tmpdir(), "slipway-aws-cli-"));
	});
	after(async () => {
		await front[Symbol.asyncDispose]();
		await rm(folder, { recursive: true });
	});
	const v2 = /aws-cli\/2/.test(version ?? "");
	const aws = async (...args: string[]) => {
		const { stdout } = await run("aws", ["--endpoint-url", front.url, "--output", "json", ...args], {
			env: environment(),
			cwd: folder,
		});
		return stdout === "" ? undefined : JSON.parse(stdout);
	};
	const fails = (args: string[], words: RegExp) =>
		assert.rejects(aws(...args), (error: { stderr: string }) => {
			assert.match(error.stderr, words);
			return true;
		});
	const blob = v2 ? ["--cli-binary-format", "raw-in-base64-out"] : [];

	it("knows who it is", async () => {
		assert.deepEqual(await aws("sts", "get-caller-identity"), {
			UserId: testAccount,
			Account: testAccount,
			Arn: `arn:aws:iam::${testAccount}:root`,
		});
	});

	it("creates, waits, gets, updates, invokes, tags, lists and deletes", async () => {
		const create = [
			"lambda",
			"create-function",
			"--package-type",
			"Image",
			"--role",
			testRole,
			"--code",
			"ImageUri=localhost:4747/app:1",
		];
		const made = await aws(
			...create,
			"--function-name",
			"one",
			"--environment",
			"Variables={FIRST=b,SECOND=d}",
			"--tags",
			"team=x",
		);
		assert.deepEqual([made.State, made.Environment.Variables], ["Pending", { FIRST: "b", SECOND: "d" }]);
		await aws("lambda", "wait", "function-active-v2", "--function-name", "one");
		const got = await aws("lambda", "get-function", "--function-name", made.FunctionArn);
		assert.deepEqual(
			[got.Configuration.State, got.Tags, got.Code.ImageUri],
			["Active", { team: "x" }, "localhost:4747/app:1"],
		);
		await aws("lambda", "update-function-code", "--function-name", "one", "--image-uri", "localhost:4747/app:2");
		await aws("lambda", "wait", "function-updated", "--function-name", "one");
		const updated = await aws(
			"lambda",
			"update-function-configuration",
			"--function-name",
			"one",
			"--memory-size",
			"256",
			"--timeout",
			"10",
		);
		assert.deepEqual([updated.MemorySize, updated.Timeout, updated.LastUpdateStatus], [256, 10, "InProgress"]);
		await aws("lambda", "wait", "function-updated-v2", "--function-name", "one");

		const output = join(folder, "out.json");
		const invoked = await aws(
			"lambda",
			"invoke",
			"--function-name",
			"one",
			"--log-type",
			"Tail",
			...blob,
			"--payload",
			'{"x": 1}',
			output,
		);
		assert.deepEqual(
			[invoked.StatusCode, invoked.ExecutedVersion, await readFile(output, "utf8")],
			[200, "$LATEST", '{"x": 1}'],
		);
		assert.match(Buffer.from(invoked.LogResult, "base64").toString(), /^START RequestId: /);

		await aws("lambda", "tag-resource", "--resource", made.FunctionArn, "--tags", "more=y");
		assert.deepEqual((await aws("lambda", "list-tags", "--resource", made.FunctionArn)).Tags, { team: "x", more: "y" });
		await aws("lambda", "untag-resource", "--resource", made.FunctionArn, "--tag-keys", "team");
		await aws(...create, "--function-name", "two");
		const listed = await aws("lambda", "list-functions", "--page-size", "1");
		assert.deepEqual(
			listed.Functions.map((one: { FunctionName: string }) => one.FunctionName),
			["one", "two"],
		);
		assert.equal((await aws("lambda", "list-functions", "--max-items", "1")).Functions.length, 1);
		await aws("lambda", "delete-function", "--function-name", "one");
		await fails(
			["lambda", "get-function", "--function-name", "one"],
			/\(ResourceNotFoundException\).*Function not found: arn:aws:lambda:us-east-1:123456789012:function:one/,
		);
	});

	it("shows errors that say what to do", async () => {
		await writeFile(join(folder, "a.zip"), Buffer.concat([Buffer.from("PK\u0005\u0006"), Buffer.alloc(18)]));
		const zip = [
			"lambda",
			"create-function",
			"--function-name",
			"z",
			"--runtime",
			"python3.13",
			"--handler",
			"a.b",
			"--role",
			testRole,
			"--zip-file",
			"fileb://a.zip",
		];
		await fails(zip, /\(InvalidParameterValueException\).*Slipway runs container images only/);
		await fails(
			["lambda", "list-layer-versions", "--layer-name", "l"],
			/\(NotImplementedException\).*Slipway does not implement lambda:ListLayerVersions: layers are for zip packages/,
		);
		await fails(["lambda", "get-function", "--function-name", "bad name"], /ValidationException|Parameter validation/);
	});

	it("finds the endpoint by AWS_ENDPOINT_URL, from 1.29 and 2.13 on", async (test) => {
		const [, major = 0, minor = 0] = /aws-cli\/(\d+)\.(\d+)/.exec(version ?? "")?.map(Number) ?? [];
		if (major === 1 ? minor < 29 : minor < 13)
			return test.skip(`${version?.trim()} does not know AWS_ENDPOINT_URL: use --endpoint-url`);
		const { stdout } = await run("aws", ["sts", "get-caller-identity", "--output", "text"], {
			env: { ...environment(), AWS_ENDPOINT_URL: front.url },
		});
		assert.match(stdout, /root/);
	});

	it("is refused with a wrong secret and with a clock that is off", async () => {
		const env = { ...environment(), AWS_SECRET_ACCESS_KEY: "wrong" };
		await assert.rejects(
			run("aws", ["--endpoint-url", front.url, "lambda", "list-functions"], { env }),
			/\(InvalidSignatureException\)/,
		);
		await assert.rejects(
			run("aws", ["--endpoint-url", front.url, "sts", "get-caller-identity"], { env }),
			/\(SignatureDoesNotMatch\)/,
		);
	});

	it("botocore presigns what the front takes", { skip: !botocore && "botocore is not installed" }, async () => {
		const script = `import botocore.session,sys
c=botocore.session.get_session().create_client('sts',endpoint_url=sys.argv[1])
print(c.generate_presigned_url('get_caller_identity',ExpiresIn=60,HttpMethod='GET'))`;
		const { stdout } = await run("python3", ["-c", script, front.url], { env: environment() });
		const answer = await fetch(stdout.trim());
		assert.equal(answer.status, 200, await answer.text());
		const forged = await fetch(stdout.trim().replace(/Expires=60/, "Expires=6000"));
		assert.match(await forged.text(), /<Code>SignatureDoesNotMatch<\/Code>/);
	});

	it("curl works with a bearer token, and with its own --aws-sigv4", {
		skip: curl === undefined && "curl is not installed",
	}, async () => {
		await front.functions.create({ name: "curled", role: testRole, imageUri: "localhost/app:1" });
		await front.functions.settled();
		const url = `${front.url}/2015-03-31/functions/curled/invocations`;
		const bearer = await run("curl", ["-s", "-d", '{"by":"curl"}', "-H", `Authorization: Bearer ${testToken}`, url]);
		assert.equal(bearer.stdout, '{"by":"curl"}');
		const signed = await run("curl", [
			"-s",
			"-d",
			'{"by":"sigv4"}',
			"--aws-sigv4",
			`aws:amz:${testRegion}:lambda`,
			"--user",
			`${testKeys.accessKeyId}:${testKeys.secretAccessKey}`,
			url,
		]);
		assert.equal(signed.stdout, '{"by":"sigv4"}');
		const none = await run("curl", ["-s", "-d", "{}", url]);
		assert.match(none.stdout, /Missing Authentication Token/);
	});
});

function environment(): Record<string, string> {
	return {
		PATH: process.env.PATH ?? "",
		HOME: process.env.HOME ?? "",
		AWS_ACCESS_KEY_ID: testKeys.accessKeyId,
		AWS_SECRET_ACCESS_KEY: testKeys.secretAccessKey,
		AWS_REGION: testRegion,
		AWS_DEFAULT_REGION: testRegion,
		AWS_CONFIG_FILE: "/dev/null",
		AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
		AWS_EC2_METADATA_DISABLED: "true",
		AWS_PAGER: "",
		AWS_MAX_ATTEMPTS: "1",
	};
}
