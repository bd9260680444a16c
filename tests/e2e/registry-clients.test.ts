/** Real clients against the registry: what people type, on a real socket and the real stores. */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { type RegistryUnderTest, startRegistry } from "../conformance/oci/registry-under-test.ts";
import { type OciLayout, writeOciLayout } from "./registry-layout.ts";

const run = promisify(execFile);

class Workbench implements AsyncDisposable {
	readonly folder: string;
	readonly registry: RegistryUnderTest;
	readonly layout: OciLayout;

	private constructor(folder: string, registry: RegistryUnderTest, layout: OciLayout) {
		this.folder = folder;
		this.registry = registry;
		this.layout = layout;
	}

	static async make(): Promise<Workbench> {
		const folder = await mkdtemp(join(tmpdir(), "slipway-clients-"));
		const layout = await writeOciLayout(join(folder, "layout"), {
			tag: "v1",
			files: { hello: "#!/bin/sh\necho hello\n" },
		});
		return new Workbench(folder, await startRegistry(), layout);
	}

	/** Every client takes the same file of credentials. */
	get authfile(): string {
		return join(this.folder, "auth.json");
	}

	async skopeo(command: string, ...rest: string[]): Promise<string> {
		return (await run("skopeo", ["--insecure-policy", command, ...rest], { timeout: 60_000 })).stdout;
	}

	async login(): Promise<void> {
		const { host, username, password } = this.registry;
		await this.skopeo("login", "--tls-verify=false", "--authfile", this.authfile, "-u", username, "-p", password, host);
	}

	async push(repository: string): Promise<void> {
		const target = `docker://${this.registry.host}/${repository}`;
		const flags = ["--authfile", this.authfile, "--dest-tls-verify=false"];
		await this.skopeo("copy", ...flags, `oci:${join(this.folder, "layout")}:v1`, target);
	}

	async buildah(...parameters: string[]): Promise<string> {
		const storage = [
			"--root",
			join(this.folder, "root"),
			"--runroot",
			join(this.folder, "run"),
			"--storage-driver",
			"vfs",
		];
		return (await run("buildah", [...storage, ...parameters], { timeout: 60_000 })).stdout;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.registry[Symbol.asyncDispose]();
		await rm(this.folder, { recursive: true, force: true });
	}
}

function missing(program: string): string | false {
	return spawnSync(program, ["--version"]).error ? `${program} is not installed` : false;
}

describe("skopeo", { skip: missing("skopeo") }, () => {
	it("logs in, pushes, inspects, lists, copies between repositories, pulls and deletes", async () => {
		await using bench = await Workbench.make();
		const { registry, layout, authfile } = bench;
		await bench.login();
		await bench.push("team/app:v1");
		const credentials = ["--authfile", authfile, "--tls-verify=false"];
		const image = `docker://${registry.host}/team/app`;
		const inspected = JSON.parse(await bench.skopeo("inspect", ...credentials, `${image}:v1`)) as Record<
			string,
			unknown
		>;
		assert.equal(inspected.Digest, layout.digest);
		assert.deepEqual(inspected.Layers, [layout.layerDigest]);
		const both = ["--authfile", authfile, "--src-tls-verify=false", "--dest-tls-verify=false"];
		await bench.skopeo("copy", ...both, `${image}:v1`, `docker://${registry.host}/team/other:v2`);
		await bench.skopeo("copy", ...both, `${image}:v1`, `${image}:v2`);
		const tags = JSON.parse(await bench.skopeo("list-tags", ...credentials, image)) as { Tags: string[] };
		assert.deepEqual(tags.Tags, ["v1", "v2"]);
		const pulled = join(bench.folder, "pulled");
		await bench.skopeo(
			"copy",
			"--authfile",
			authfile,
			"--src-tls-verify=false",
			`${image}@${layout.digest}`,
			`oci:${pulled}:x`,
		);
		const index = JSON.parse(await readFile(join(pulled, "index.json"), "utf8")) as { manifests: { digest: string }[] };
		assert.equal(index.manifests[0]?.digest, layout.digest);
		await bench.skopeo("delete", ...credentials, `${image}:v1`);
		await assert.rejects(bench.skopeo("inspect", ...credentials, `${image}:v1`), /manifest unknown|does not exist/i);
		assert.deepEqual(
			registry.pushes.map((push) => `${push.repository}:${push.tags}`),
			["team/app:v1", "team/other:v2", "team/app:v2"],
		);
		assert.deepEqual(registry.errors, []);
	});

	it("pushes in Docker's own format too", async () => {
		await using bench = await Workbench.make();
		await bench.login();
		const target = `docker://${bench.registry.host}/docker/format:v1`;
		const flags = ["--authfile", bench.authfile, "--dest-tls-verify=false", "--format", "v2s2"];
		await bench.skopeo("copy", ...flags, `oci:${join(bench.folder, "layout")}:v1`, target);
		const raw = await bench.skopeo("inspect", "--raw", "--authfile", bench.authfile, "--tls-verify=false", target);
		assert.equal(
			(JSON.parse(raw) as { mediaType: string }).mediaType,
			"application/vnd.docker.distribution.manifest.v2+json",
		);
	});

	it("is told when the password is wrong, and when there is none", async () => {
		await using bench = await Workbench.make();
		const { host } = bench.registry;
		const login = bench.skopeo(
			"login",
			"--tls-verify=false",
			"--authfile",
			bench.authfile,
			"-u",
			"AWS",
			"-p",
			"wrong",
			host,
		);
		await assert.rejects(login, /invalid username\/password/);
		await assert.rejects(bench.push("team/app:v1"), /authenticat|unauthorized|Log in first/i);
		assert.deepEqual(await bench.registry.repositories.listRepositories({ limit: 1 }), []);
	});

	it("is told why an immutable tag does not move", async () => {
		await using bench = await Workbench.make();
		await bench.login();
		await bench.registry.repositories.createRepository({
			name: "app",
			createdMs: 0,
			tagMutability: "IMMUTABLE",
			tags: {},
		});
		await bench.push("app:v1");
		await bench.push("app:v1");
		await writeOciLayout(join(bench.folder, "layout"), { tag: "v1", files: { hello: "another" } });
		await assert.rejects(bench.push("app:v1"), /immutable/);
	});
});

const buildahMissing = process.getuid?.() === 0 ? missing("buildah") : "buildah's storage needs root here";
describe("buildah", { skip: buildahMissing }, () => {
	it("logs in, pulls, builds on it, and pushes", async () => {
		await using bench = await Workbench.make();
		const { registry, authfile } = bench;
		const { host, username, password } = registry;
		await bench.buildah("login", "--tls-verify=false", "--authfile", authfile, "-u", username, "-p", password, host);
		await bench.push("base/app:v1");
		const credentials = ["--authfile", authfile, "--tls-verify=false"];
		const container = (await bench.buildah("from", ...credentials, `${host}/base/app:v1`)).trim();
		await bench.buildah("config", "--env", "GREETING=hello", container);
		await bench.buildah("commit", container, "built:latest");
		await bench.buildah("push", ...credentials, "built:latest", `docker://${host}/built/app:v2`);
		await bench.buildah("rm", container);
		const built = await registry.repositories.getManifest("built/app", { tag: "v2" });
		assert.ok(built);
		assert.ok(built.references.every((digest) => /^sha256:/.test(digest)));
		await bench.buildah("pull", ...credentials, `${host}/built/app:v2`);
		assert.deepEqual(registry.errors, []);
	});
});
