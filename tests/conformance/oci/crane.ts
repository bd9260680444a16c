import { execFile } from "node:child_process";
import { access, mkdir, mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { writeOciLayout } from "../../e2e/registry-layout.ts";
import { startRegistry } from "./registry-under-test.ts";
import type { Report } from "./result.ts";

const run = promisify(execFile);
const module = "github.com/google/go-containerregistry/cmd/crane";
const version = "v0.21.8";
const buildTimeoutMs = 10 * 60_000;

/** crane, which ko, cosign and many pipelines share their registry code with, doing what people do with it. */
export async function craneCases(report: Report): Promise<void> {
	const crane = await buildCrane().catch((error: unknown) => {
		report({ name: "crane", status: "skipped", detail: `It can't be built here: ${String(error)}` });
	});
	if (crane === undefined) return;
	const folder = await mkdtemp(join(tmpdir(), "slipway-crane-"));
	try {
		await using registry = await startRegistry();
		const { host, username, password } = registry;
		const layout = await writeOciLayout(join(folder, "layout"), { tag: "v1", files: { hello: "hello" } });
		const image = `${host}/crane/app`;
		const call = async (...parameters: string[]) => {
			const env = { PATH: process.env.PATH ?? "", HOME: folder, DOCKER_CONFIG: folder };
			return (await run(crane, parameters, { env, timeout: 60_000 })).stdout.trim();
		};
		const cases: [name: string, body: () => Promise<string>, expected: RegExp][] = [
			["auth login", () => call("auth", "login", host, "-u", username, "-p", password), /^/],
			["push", () => call("push", join(folder, "layout"), `${image}:v1`), new RegExp(layout.digest)],
			["digest", () => call("digest", `${image}:v1`), new RegExp(`^${layout.digest}$`)],
			["validate --remote", () => call("validate", "--remote", `${image}:v1`), /^PASS/],
			["tag", () => call("tag", `${image}:v1`, "v2"), /^/],
			["ls", () => call("ls", image), /^v1\nv2$/],
			["copy to another repository", () => call("copy", `${image}:v1`, `${host}/crane/other:v1`), /^/],
			["catalog", () => call("catalog", host), /^crane\/app\ncrane\/other$/],
			["append a layer", () => append(call, folder, image), /sha256:/],
			["pull", () => call("pull", "--format", "oci", `${image}:v1`, join(folder, "pulled")), /^/],
			["blob", () => call("blob", `${image}@${layout.layerDigest}`), /./],
			["delete", () => call("delete", `${image}@${layout.digest}`), /^/],
			["ls after delete", () => call("ls", image), /^v3$/],
		];
		for (const [name, body, expected] of cases) report({ name: `crane ${name}`, ...(await judge(body, expected)) });
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

async function append(call: (...p: string[]) => Promise<string>, folder: string, image: string): Promise<string> {
	const tar = join(folder, "more.tar");
	await run("tar", ["-cf", tar, "-C", join(folder, "layout"), "oci-layout"]);
	return call("append", "-b", `${image}:v1`, "-f", tar, "-t", `${image}:v3`);
}

async function judge(body: () => Promise<string>, expected: RegExp): Promise<Omit<Parameters<Report>[0], "name">> {
	try {
		const output = await body();
		if (expected.test(output)) return { status: "passed" };
		return { status: "failed", detail: `It said '${output}', which is not ${expected}` };
	} catch (error) {
		return { status: "failed", detail: String(error) };
	}
}

/** By `go install`, once for each version; the cache is outside of the checkout. */
async function buildCrane(): Promise<string> {
	const folder = join(homedir(), ".cache", "slipway", "conformance-oci", `crane-${version}`);
	const program = join(folder, "crane");
	const exists = await access(program).then(
		() => true,
		() => false,
	);
	if (exists) return program;
	await mkdir(folder, { recursive: true });
	const env = { ...process.env, GOBIN: folder, CGO_ENABLED: "0" };
	await run("go", ["install", `${module}@${version}`], { env, timeout: buildTimeoutMs });
	return program;
}
