/** For this folder's tests: the front over the fakes, a raw HTTP client, and small images. */
import { createHash } from "node:crypto";
import { createServer, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { SlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { Digest } from "../../core/image/digest.ts";
import { FakeBlobStore } from "../../core/image/fake-blob-store.ts";
import { mediaTypes } from "../../core/image/manifest.ts";
import { FakeRepositoryStore } from "../../core/repository/fake-repository-store.ts";
import { type Access, createRegistryFront, type PushEvent, type RegistryFrontOptions } from "./registry-front.ts";

export interface Reply {
	status: number;
	headers: IncomingHttpHeaders;
	bytes: Buffer;
	text: string;
	/** Code of the first error in the body. */
	code: string | undefined;
}

type Body = string | Uint8Array;

export class FrontFixture implements AsyncDisposable {
	readonly blobs = new FakeBlobStore();
	readonly repositories = new FakeRepositoryStore();
	readonly pushes: PushEvent[] = [];
	readonly accesses: Access[] = [];
	readonly errors: string[] = [];
	/** Repositories that nobody may touch. */
	readonly forbidden = new Set<string>();
	readonly #server;

	private constructor(options: Partial<RegistryFrontOptions>) {
		const ignore = () => {};
		const error = (message: string, fields?: Record<string, unknown>) => {
			this.errors.push(`${message} ${String(fields?.error)}`);
		};
		const log: Log = { debug: ignore, info: ignore, warn: ignore, error };
		const front = createRegistryFront({
			blobs: this.blobs,
			repositories: this.repositories,
			createOnPush: true,
			log,
			authorize: (_request, access) => this.#authorize(access),
			onPush: (event) => void this.pushes.push(event),
			...options,
		});
		this.#server = createServer({ requestTimeout: 0 }, (request, response) => void front(request, response));
	}

	static async start(options: Partial<RegistryFrontOptions> = {}): Promise<FrontFixture> {
		const fixture = new FrontFixture(options);
		await new Promise<void>((resolve) => fixture.#server.listen(0, "127.0.0.1", resolve));
		return fixture;
	}

	#authorize(access: Access): { name: string } {
		this.accesses.push(access);
		if (this.forbidden.has(access.repository ?? "")) throw new SlipwayError("FORBIDDEN", "Not yours");
		return { name: "tester" };
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	/** The path goes out as it is: nothing is normalized or encoded. */
	async send(method: string, path: string, body?: Body, headers: Record<string, string> = {}): Promise<Reply> {
		const reply = Promise.withResolvers<Reply>();
		const request = httpRequest({ port: this.port, method, path, headers, agent: false }, async (response) => {
			const bytes = await buffer(response);
			const text = bytes.toString();
			const code = response.headers["content-type"] === "application/json" ? errorCode(text) : undefined;
			reply.resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes, text, code });
		});
		request.on("error", reply.reject);
		request.end(body);
		return reply.promise;
	}

	/** A bare connection, for requests that no client library would make. */
	connect(): Socket {
		return connect(this.port, "127.0.0.1");
	}

	async pushBlob(name: string, content: Body): Promise<Digest> {
		const digest = digestOf(content);
		const reply = await this.send("POST", `/v2/${name}/blobs/uploads/?digest=${digest}`, content);
		if (reply.status !== 201) throw new Error(`Pushing a blob: ${reply.status} ${reply.text}`);
		return digest;
	}

	async begin(name: string): Promise<string> {
		const reply = await this.send("POST", `/v2/${name}/blobs/uploads/`);
		if (reply.status !== 202) throw new Error(`Beginning an upload: ${reply.status} ${reply.text}`);
		return String(reply.headers.location);
	}

	putManifest(
		name: string,
		reference: string,
		document: object | string,
		type: string = mediaTypes.ociManifest,
	): Promise<Reply> {
		const body = typeof document === "string" ? document : JSON.stringify(document);
		return this.send("PUT", `/v2/${name}/manifests/${reference}`, body, { "Content-Type": type });
	}

	async pushImage(name: string, reference: string, change: object = {}): Promise<{ digest: Digest; text: string }> {
		const document = { ...(await this.image(name)), ...change };
		const text = JSON.stringify(document);
		const reply = await this.putManifest(name, reference, text);
		if (reply.status !== 201) throw new Error(`Pushing a manifest: ${reply.status} ${reply.text}`);
		return { digest: digestOf(text), text };
	}

	/** A manifest whose config and layer are in the repository. */
	async image(name: string): Promise<Record<string, unknown>> {
		const [config, layer] = ["{}", "not really a layer"];
		return {
			schemaVersion: 2,
			mediaType: mediaTypes.ociManifest,
			config: descriptor(mediaTypes.ociConfig, config, await this.pushBlob(name, config)),
			layers: [descriptor("application/vnd.oci.image.layer.v1.tar", layer, await this.pushBlob(name, layer))],
		};
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#server.closeAllConnections();
		await new Promise<void>((resolve) => this.#server.close(() => resolve()));
	}
}

export function digestOf(content: Body): Digest {
	return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}

export function descriptor(mediaType: string, content: Body, digest: Digest = digestOf(content)) {
	return { mediaType, digest, size: content.length };
}

function errorCode(text: string): string | undefined {
	if (text === "") return undefined;
	const body = JSON.parse(text) as { errors?: { code: string }[] };
	return body.errors?.[0]?.code;
}
