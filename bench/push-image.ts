import { openAsBlob } from "node:fs";
import type { LocalDaemon } from "../tools/local-daemon.ts";
import type { LargeImage, PackedFile } from "./large-image.ts";

/** Pushes what no builder has: each file in one request (OCI distribution-spec 1.1, "Pushing a blob monolithically"). */
export async function pushLargeImage(daemon: LocalDaemon, image: LargeImage, repository: string): Promise<string> {
	const base = `${daemon.url}/v2/${repository}`;
	const authorization = `Basic ${Buffer.from(`AWS:${daemon.credentials.registryPassword}`).toString("base64")}`;
	const send = async (url: string, init: RequestInit) => {
		const response = await fetch(url, { ...init, headers: { authorization, ...init.headers } });
		if (!response.ok) throw new Error(`${init.method} ${url} answered ${response.status}: ${await response.text()}`);
		return response;
	};
	for (const { path, digest } of [...image.layers, image.config]) {
		const session = await send(`${base}/blobs/uploads/`, { method: "POST" });
		const location = new URL(session.headers.get("location") ?? "", daemon.url);
		location.searchParams.set("digest", digest);
		const headers = { "content-type": "application/octet-stream" };
		await send(location.href, { method: "PUT", headers, body: await openAsBlob(path) });
	}
	const describe = ({ digest, size }: PackedFile, kind: string) => ({
		mediaType: `application/vnd.oci.image.${kind}`,
		digest,
		size,
	});
	const mediaType = "application/vnd.oci.image.manifest.v1+json";
	const manifest = {
		schemaVersion: 2,
		mediaType,
		config: describe(image.config, "config.v1+json"),
		layers: image.layers.map((layer) => describe(layer, "layer.v1.tar+gzip")),
	};
	const headers = { "content-type": mediaType };
	await send(`${base}/manifests/latest`, { method: "PUT", headers, body: JSON.stringify(manifest) });
	return `${daemon.registry}/${repository}:latest`;
}
