/** Clauses of the distribution-spec as tests: each names what the specification says, and has a registry to itself per file. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { type Answer, type RegistryUnderTest, send, startRegistry } from "./registry-under-test.ts";

export const ociManifest = "application/vnd.oci.image.manifest.v1+json";
export const ociIndex = "application/vnd.oci.image.index.v1+json";

/** github.com/opencontainers/distribution-spec, spec.md of version 1.1.1. */
export const specification = "https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md";

export class Client {
	#registry: RegistryUnderTest | undefined;

	async start(): Promise<void> {
		this.#registry = await startRegistry();
	}

	async stop(): Promise<void> {
		assert.deepEqual(this.#registry?.errors, []);
		await this.#registry?.[Symbol.asyncDispose]();
	}

	send(method: string, path: string, body?: string, headers?: Record<string, string>): Promise<Answer> {
		assert.ok(this.#registry);
		return send(this.#registry, method, path, body, headers);
	}

	async pushBlob(name: string, content: string): Promise<string> {
		const digest = digestOf(content);
		const answer = await this.send("POST", `/v2/${name}/blobs/uploads/?digest=${digest}`, content);
		assert.equal(answer.status, 201);
		return digest;
	}

	/** Returns the session's location. */
	async beginUpload(name: string): Promise<string> {
		const answer = await this.send("POST", `/v2/${name}/blobs/uploads/`);
		assert.equal(answer.status, 202);
		return answer.header("location") ?? assert.fail("no Location");
	}

	/** A manifest with its config and one layer pushed; `text` makes it different from others. */
	async manifest(name: string, text: string, change: object = {}): Promise<{ body: string; digest: string }> {
		const [config, layer] = [JSON.stringify({ text }), `layer ${text}`];
		await this.pushBlob(name, config);
		await this.pushBlob(name, layer);
		const body = JSON.stringify({
			schemaVersion: 2,
			mediaType: ociManifest,
			config: descriptor("application/vnd.oci.image.config.v1+json", config),
			layers: [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
			...change,
		});
		return { body, digest: digestOf(body) };
	}

	async pushManifest(
		name: string,
		reference: string,
		text: string,
		change: object = {},
	): Promise<{ body: string; digest: string }> {
		const manifest = await this.manifest(name, text, change);
		const answer = await this.putManifest(name, reference === "" ? manifest.digest : reference, manifest.body);
		assert.equal(answer.status, 201, answer.text);
		return manifest;
	}

	putManifest(name: string, reference: string, body: string, type: string = ociManifest): Promise<Answer> {
		return this.send("PUT", `/v2/${name}/manifests/${reference}`, body, { "Content-Type": type });
	}
}

export function digestOf(content: string, algorithm: "sha256" | "sha512" = "sha256"): string {
	return `${algorithm}:${createHash(algorithm).update(content).digest("hex")}`;
}

export function descriptor(mediaType: string, content: string) {
	return { mediaType, digest: digestOf(content), size: Buffer.byteLength(content) };
}

/** The form that every error with a JSON body has ("Error Codes"). */
export function assertError(answer: Answer, status: number, code: string): void {
	const { errors } = answer.json() as { errors: { code: string; message: string }[] };
	assert.deepEqual([answer.status, errors[0]?.code], [status, code], answer.text);
	assert.match(errors[0]?.code ?? "", /^[A-Z_]+$/);
	assert.equal(typeof errors[0]?.message, "string");
}

type Clause = (title: string, body: (client: Client) => Promise<void>) => void;

/** `anchor` is the section's in the specification. */
export function section(title: string, anchor: string, clauses: (clause: Clause) => void): void {
	describe(`${title} (${specification}#${anchor})`, () => {
		const client = new Client();
		before(() => client.start());
		after(() => client.stop());
		clauses((clauseTitle, body) => it(clauseTitle, () => body(client)));
	});
}
