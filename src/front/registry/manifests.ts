import { SlipwayError } from "../../base/error.ts";
import { type Digest, isDigest } from "../../core/image/digest.ts";
import { isTag } from "../../core/image/reference.ts";
import type { StoredManifest } from "../../core/repository/repository-store.ts";
import { deleteImage } from "../../engine/images/repository-images.ts";
import { announcedLength, requestBody } from "./body.ts";
import type { Exchange } from "./exchange.ts";
import { refuse } from "./oci-error.ts";
import { contentHeaders, notModified, requireDigest, respondEmpty } from "./respond.ts";

/** `tag` parameters of one push (end-7b); the specification asks for at least 10. */
const maxTagParameters = 100;

/** end-3. The media type is the one that it was pushed with. */
export async function getManifest(exchange: Exchange, name: string, text: string): Promise<void> {
	const { request, response, registry, repositories } = exchange;
	const reference = toReference(text);
	// A HEAD needs no bytes.
	const head = request.method === "HEAD" || request.headers["if-none-match"] !== undefined;
	const known = reference && head ? await repositories.getManifest(name, reference) : undefined;
	if (known && notModified(exchange, known.digest)) {
		response.writeHead(304, contentHeaders(known.digest));
		response.end();
		return;
	}
	if (known && request.method === "HEAD") {
		response.writeHead(200, manifestHeaders(known));
		response.end();
		return;
	}
	const found = reference && !(head && !known) ? await registry.readManifest(name, reference) : undefined;
	if (!found) throw await unknownManifest(exchange, name, text);
	response.writeHead(200, manifestHeaders(found.manifest));
	response.end(found.bytes);
}

function manifestHeaders(manifest: StoredManifest): Record<string, string> {
	return {
		...contentHeaders(manifest.digest),
		"Content-Type": manifest.mediaType,
		"Content-Length": String(manifest.size),
	};
}

/** end-7a and 7b. */
export async function putManifest(exchange: Exchange, name: string, text: string): Promise<void> {
	const { request, limits, registry, query } = exchange;
	const digest = text.includes(":") ? requireDigest(text) : undefined;
	const tags = digest ? [...new Set(query.getAll("tag"))] : [text];
	const wrong = tags.find((tag) => !isTag(tag));
	if (wrong !== undefined) throw new SlipwayError("INVALID", `'${wrong.slice(0, 150)}' is not a tag`);
	if (tags.length > maxTagParameters)
		throw new SlipwayError("INVALID", `A push may set at most ${maxTagParameters} tags`);
	const manifest = await registry.pushManifest(name, {
		tags,
		...(digest ? { digest } : {}),
		mediaType: request.headers["content-type"]?.split(";", 1)[0]?.trim() || undefined,
		bytes: await readManifestBody(exchange, limits.manifestBytes),
	});
	await announce(exchange, name, manifest, tags);
	respondEmpty(exchange, 201, {
		...contentHeaders(manifest.digest),
		Location: `/v2/${name}/manifests/${manifest.digest}`,
		...(manifest.subject ? { "OCI-Subject": manifest.subject } : {}),
		...(digest && tags.length > 0 ? { "OCI-Tag": tags.join(", ") } : {}),
	});
}

async function readManifestBody(exchange: Exchange, maxBytes: number): Promise<Buffer> {
	const { request, limits, clock } = exchange;
	announcedLength(request, maxBytes);
	return Buffer.concat(await Array.fromAsync(requestBody(request, { maxBytes, idleMs: limits.idleMs, clock })));
}

/** The push is done and durable by now: who wants to hear of it can't undo it by failing. */
async function announce(
	exchange: Exchange,
	repository: string,
	manifest: StoredManifest,
	tags: readonly string[],
): Promise<void> {
	const { digest, mediaType, size } = manifest;
	try {
		await exchange.onPush?.({ repository, digest, tags, mediaType, size, principal: exchange.principal });
	} catch (error) {
		exchange.log.error("A listener to pushes failed", { repository, digest, error });
	}
}

/** end-9: a digest takes the manifest and its tags, a tag only itself. */
export async function deleteManifest(exchange: Exchange, name: string, text: string): Promise<void> {
	const { repositories } = exchange;
	const reference = toReference(text);
	if (!reference || !(await repositories.getManifest(name, reference)))
		throw await unknownManifest(exchange, name, text);
	if ("digest" in reference) await deleteImage(repositories, name, reference.digest);
	else await repositories.deleteTag(name, reference.tag);
	respondEmpty(exchange, 202);
}

/** What is neither a digest nor a tag names nothing, which is a plain 404 to a reader. */
function toReference(text: string): { digest: Digest } | { tag: string } | undefined {
	if (isDigest(text)) return { digest: text };
	if (text.includes(":")) throw refuse("DigestInvalid", `'${text.slice(0, 100)}' is not a digest`);
	return isTag(text) ? { tag: text } : undefined;
}

async function unknownManifest({ repositories }: Exchange, name: string, text: string): Promise<SlipwayError> {
	if (!(await repositories.getRepository(name)))
		return refuse("RepositoryUnknown", `Repository '${name}' does not exist`);
	return refuse("ManifestUnknown", `Manifest '${text.slice(0, 150)}' does not exist in repository '${name}'`);
}
