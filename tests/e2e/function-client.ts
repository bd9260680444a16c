/** What a client of a running daemon does to functions and to the registry, for tests that try the unusual. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import {
	CreateFunctionCommand,
	type CreateFunctionCommandInput,
	GetFunctionCommand,
	InvokeCommand,
	LambdaClient,
	waitUntilFunctionActiveV2,
} from "@aws-sdk/client-lambda";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { makeTar } from "./registry-layout.ts";

export const manifestType = "application/vnd.oci.image.manifest.v1+json";
export const indexType = "application/vnd.oci.image.index.v1+json";
const waiting = { maxWaitTime: 30, minDelay: 0.05, maxDelay: 0.2 };

export class FunctionClient implements Disposable {
	readonly daemon: LocalDaemon;
	readonly lambda: LambdaClient;

	constructor(daemon: LocalDaemon) {
		this.daemon = daemon;
		const { accessKeyId, secretAccessKey } = daemon.credentials;
		this.lambda = new LambdaClient({
			endpoint: daemon.url,
			region: daemon.region,
			credentials: { accessKeyId, secretAccessKey },
			maxAttempts: 1,
		});
	}

	[Symbol.dispose](): void {
		this.lambda.destroy();
	}

	/** Returns as soon as the daemon has accepted it. */
	create(name: string, ImageUri: string, change: Partial<CreateFunctionCommandInput> = {}) {
		const common = { FunctionName: name, Role: this.daemon.roleArn, PackageType: "Image" as const, Timeout: 30 };
		return this.lambda.send(new CreateFunctionCommand({ ...common, Code: { ImageUri }, ...change }));
	}

	async createActive(name: string, imageUri: string, change: Partial<CreateFunctionCommandInput> = {}) {
		await this.create(name, imageUri, change);
		await waitUntilFunctionActiveV2({ client: this.lambda, ...waiting }, { FunctionName: name });
	}

	/** Its configuration once it is no longer Pending. */
	async settled(name: string) {
		for (;;) {
			const { Configuration } = await this.lambda.send(new GetFunctionCommand({ FunctionName: name }));
			if (Configuration && Configuration.State !== "Pending") return Configuration;
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
	}

	async invoke(name: string, event: unknown) {
		const Payload = Buffer.from(JSON.stringify(event));
		const answer = await this.lambda.send(new InvokeCommand({ FunctionName: name, Payload, LogType: "Tail" }));
		return {
			error: answer.FunctionError,
			json: JSON.parse(Buffer.from(answer.Payload ?? []).toString()),
			log: Buffer.from(answer.LogResult ?? "", "base64").toString(),
		};
	}

	native(path: string): Promise<Response> {
		const headers = { authorization: `Bearer ${this.daemon.credentials.token}` };
		return fetch(`${this.daemon.url}/_slipway${path}`, { headers });
	}

	/** Waits until no sandbox is at work, as a shell takes a moment from its answer to its next poll. */
	async idle(): Promise<void> {
		for (;;) {
			const { sandboxes } = (await (await this.native("/sandboxes")).json()) as { sandboxes: { state: string }[] };
			if (sandboxes.every(({ state }) => state !== "busy" && state !== "initializing")) return;
			await new Promise((resolve) => setTimeout(resolve, 10));
		}
	}

	get registryHeaders(): Record<string, string> {
		const { registryPassword } = this.daemon.credentials;
		return { authorization: `Basic ${Buffer.from(`AWS:${registryPassword}`).toString("base64")}` };
	}

	/** A request to the registry, below `/v2/`. */
	registry(method: string, path: string, body?: Uint8Array | string, headers: Record<string, string> = {}) {
		const url = path.startsWith("/") ? `${this.daemon.url}${path}` : `${this.daemon.url}/v2/${path}`;
		const init: RequestInit = { method, headers: { ...this.registryHeaders, ...headers } };
		if (body !== undefined) init.body = typeof body === "string" ? body : new Uint8Array(body);
		return fetch(url, init);
	}

	async pushBlob(repository: string, content: Uint8Array | string) {
		const digest = sha256(content);
		const answer = await this.registry("POST", `${repository}/blobs/uploads/?digest=${digest}`, content);
		assert.equal(answer.status, 201, await answer.text());
		return { digest, size: Buffer.byteLength(content) };
	}

	/** Returns its digest. */
	async pushManifest(repository: string, tag: string, manifest: { mediaType: string }): Promise<string> {
		const text = JSON.stringify(manifest);
		const headers = { "content-type": manifest.mediaType };
		const answer = await this.registry("PUT", `${repository}/manifests/${tag}`, text, headers);
		assert.equal(answer.status, 201, await answer.text());
		return sha256(text);
	}

	/** An image of one layer, whose bytes and claimed content may be anything. Returns `registry/repository:v1`. */
	async pushImage(repository: string, image: TestImage): Promise<{ uri: string; layer: string; manifest: string }> {
		const { architecture = "amd64", layer, diffId, config = { Entrypoint: ["/runtime.sh"] } } = image;
		const text = JSON.stringify({
			architecture,
			os: "linux",
			config,
			rootfs: { type: "layers", diff_ids: [diffId] },
		});
		const stored = await this.pushBlob(repository, layer);
		const manifest = await this.pushManifest(repository, "v1", {
			schemaVersion: 2,
			mediaType: manifestType,
			config: { mediaType: "application/vnd.oci.image.config.v1+json", ...(await this.pushBlob(repository, text)) },
			layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", ...stored }],
		} as { mediaType: string });
		return { uri: `${this.daemon.registry}/${repository}:v1`, layer: stored.digest, manifest };
	}
}

export interface TestImage {
	layer: Buffer;
	diffId: string;
	architecture?: string;
	config?: Record<string, unknown>;
}

/** A sound layer of these files. */
export function layerOf(files: Record<string, string | Buffer>): { tar: Buffer; layer: Buffer; diffId: string } {
	const tar = makeTar(files);
	return { tar, layer: gzipSync(tar), diffId: sha256(tar) };
}

export function sha256(content: Uint8Array | string): string {
	return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}
