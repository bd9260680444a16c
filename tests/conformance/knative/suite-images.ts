import { createHash } from "node:crypto";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../../tools/run.ts";

const configType = "application/vnd.oci.image.config.v1+json";
const layerType = "application/vnd.oci.image.layer.v1.tar+gzip";
const manifestType = "application/vnd.oci.image.manifest.v1+json";

export interface Registry {
	/** `http://host:port` */
	url: string;
	token: string;
	/** In front of an image's name. */
	prefix: string;
}

/** As ko packs a program over distroless' nonroot base: one layer, user 65532, /ko-app/NAME. */
export async function pushImage(registry: Registry, name: string, program: string): Promise<void> {
	const { layer, diffId } = await packLayer(name, program);
	const config = Buffer.from(
		JSON.stringify({
			architecture: process.arch === "arm64" ? "arm64" : "amd64",
			os: "linux",
			config: {
				User: "65532:65532",
				WorkingDir: "/home/nonroot",
				Entrypoint: [`/ko-app/${name}`],
				Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/ko-app", "KO_DATA_PATH=/var/run/ko"],
			},
			rootfs: { type: "layers", diff_ids: [diffId] },
		}),
	);
	const repository = `${registry.prefix}/${name}`;
	await pushBlob(registry, repository, layer);
	await pushBlob(registry, repository, config);
	const manifest = JSON.stringify({
		schemaVersion: 2,
		mediaType: manifestType,
		config: { mediaType: configType, digest: digestOf(config), size: config.length },
		layers: [{ mediaType: layerType, digest: digestOf(layer), size: layer.length }],
	});
	await send(registry, "PUT", `/v2/${repository}/manifests/latest`, Buffer.from(manifest), manifestType);
}

async function packLayer(name: string, program: string): Promise<{ layer: Buffer; diffId: string }> {
	const folder = await mkdtemp(join(tmpdir(), "slipway-knative-image-"));
	try {
		const root = join(folder, "root");
		for (const path of ["ko-app", "etc", "tmp", "home/nonroot", "var/run/ko"])
			await mkdir(join(root, path), { recursive: true });
		await chmod(join(root, "tmp"), 0o1777);
		await copyFile(program, join(root, "ko-app", name));
		await chmod(join(root, "ko-app", name), 0o755);
		const users = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n";
		await writeFile(join(root, "etc/passwd"), users);
		await writeFile(join(root, "etc/group"), "root:x:0:\nnonroot:x:65532:\n");
		const tar = join(folder, "layer.tar");
		await run("tar", [
			"--create",
			"--file",
			tar,
			"--numeric-owner",
			"--owner=0",
			"--group=0",
			"--mtime=@0",
			"--sort=name",
			"--directory",
			root,
			".",
		]);
		const diffId = digestOf(await readFile(tar));
		await run("gzip", ["-n", "-1", tar]);
		return { layer: await readFile(`${tar}.gz`), diffId };
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

async function pushBlob(registry: Registry, repository: string, bytes: Buffer): Promise<void> {
	const begun = await send(registry, "POST", `/v2/${repository}/blobs/uploads/`, undefined, "application/octet-stream");
	const place = new URL(begun.headers.get("location") ?? "", registry.url);
	place.searchParams.set("digest", digestOf(bytes));
	await send(registry, "PUT", place.pathname + place.search, bytes, "application/octet-stream");
}

async function send(
	{ url, token }: Registry,
	method: string,
	path: string,
	body: Buffer | undefined,
	type: string,
): Promise<Response> {
	const response = await fetch(url + path, {
		method,
		headers: { Authorization: `Basic ${Buffer.from(`suite:${token}`).toString("base64")}`, "Content-Type": type },
		...(body && { body: new Uint8Array(body) }),
	});
	if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${(await response.text()).slice(0, 500)}`);
	return response;
}

function digestOf(bytes: Buffer): string {
	return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
