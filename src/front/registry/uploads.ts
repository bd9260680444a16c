import { isSlipwayError } from "../../base/error.ts";
import type { Digest } from "../../core/image/digest.ts";
import { isRepositoryName } from "../../core/image/reference.ts";
import { announcedLength, hasBody, requestBody } from "./body.ts";
import type { Exchange } from "./exchange.ts";
import { refuse } from "./oci-error.ts";
import { parseContentRange } from "./range.ts";
import { requireDigest, respondEmpty } from "./respond.ts";

/** end-4a, 4b, 4c and 11: begins a session, or takes a whole blob, or mounts one from another repository. */
export async function beginUpload(exchange: Exchange, name: string): Promise<void> {
	const { query, blobs, registry, repositories } = exchange;
	const mount = query.get("mount");
	const digest = query.get("digest");
	const algorithm = query.get("digest-algorithm") ?? "sha256";
	if (algorithm !== "sha256" && algorithm !== "sha512")
		throw refuse("DigestInvalid", `Digest algorithm '${algorithm.slice(0, 20)}' is not supported: sha256, sha512`);
	const mounted = mount === null ? undefined : requireDigest(mount);
	const whole = digest === null ? undefined : requireDigest(digest);
	await registry.repositoryForPush(name);
	if (mounted && (await registry.mountBlob(name, mounted, () => mayMount(exchange, name, mounted))))
		return created(exchange, name, mounted);
	if (whole && !mounted) {
		const size = announcedLength(exchange.request, exchange.limits.blobBytes);
		await blobs.put(
			{ digest: whole, ...(size === undefined ? {} : { size }) },
			body(exchange, exchange.limits.blobBytes),
		);
		await repositories.linkBlob(name, whole);
		return created(exchange, name, whole);
	}
	const id = await blobs.beginUpload();
	exchange.owners.remember(id, name);
	accepted(exchange, name, id, 0);
}

/** Whether the blob is somewhere that the client may read. A "no" is not an error: the client then uploads it. */
async function mayMount(exchange: Exchange, name: string, digest: Digest): Promise<boolean> {
	const { repositories, query } = exchange;
	if (await repositories.hasBlob(name, digest)) return true;
	const from = query.get("from") ?? (await repositories.findBlob(digest));
	if (from === undefined || !isRepositoryName(from)) return false;
	try {
		await exchange.authorize(exchange.request, { repository: from, action: "pull" });
	} catch (error) {
		if (isSlipwayError(error, "FORBIDDEN") || isSlipwayError(error, "UNAUTHENTICATED")) return false;
		throw error;
	}
	return repositories.hasBlob(from, digest);
}

/** end-13. */
export async function getUpload(exchange: Exchange, name: string, id: string): Promise<void> {
	const size = await uploadSize(exchange, name, id);
	respondEmpty(exchange, 204, uploadHeaders(name, id, size));
}

/** end-5: a chunk with its Content-Range, or a stream without one. */
export async function patchUpload(exchange: Exchange, name: string, id: string): Promise<void> {
	const size = await appendBody(exchange, name, id);
	accepted(exchange, name, id, size);
}

/** end-6: the last chunk, if it was not patched, and the commit. */
export async function putUpload(exchange: Exchange, name: string, id: string): Promise<void> {
	const digest = requireDigest(exchange.query.get("digest") ?? "");
	if (hasBody(exchange.request)) await appendBody(exchange, name, id);
	else await uploadSize(exchange, name, id);
	try {
		await exchange.blobs.commitUpload(id, digest);
	} catch (error) {
		if (!isSlipwayError(error, "CONFLICT")) exchange.owners.forget(id);
		throw error;
	}
	exchange.owners.forget(id);
	await exchange.repositories.linkBlob(name, digest);
	created(exchange, name, digest);
}

/** end-14. */
export async function deleteUpload(exchange: Exchange, name: string, id: string): Promise<void> {
	exchange.owners.check(id, name);
	await exchange.blobs.cancelUpload(id);
	exchange.owners.forget(id);
	respondEmpty(exchange, 204);
}

async function uploadSize({ owners, blobs }: Exchange, name: string, id: string): Promise<number> {
	owners.check(id, name);
	return blobs.uploadSize(id);
}

async function appendBody(exchange: Exchange, name: string, id: string): Promise<number> {
	const { request, response, blobs, limits } = exchange;
	const held = await uploadSize(exchange, name, id);
	const range = parseContentRange(request.headers["content-range"]);
	if (range === "invalid") throw refuse("SizeInvalid", "Content-Range is not of the form <first byte>-<last byte>");
	const length = announcedLength(request, limits.blobBytes - held);
	if (range && length !== undefined && length !== range.end - range.start + 1)
		throw refuse("SizeInvalid", `Content-Range names ${range.end - range.start + 1} bytes, Content-Length ${length}`);
	if (range && range.start !== held) {
		// So that the client need not ask where to go on.
		for (const [header, value] of Object.entries(uploadHeaders(name, id, held))) response.setHeader(header, value);
		throw refuse("UploadOffset", `The upload holds ${held} bytes, so the next chunk begins at ${held}`);
	}
	const size = await blobs.append(id, held, body(exchange, limits.blobBytes - held));
	if (range && size !== range.end + 1)
		throw refuse("SizeInvalid", `Content-Range ends at ${range.end}, but the bytes at ${size - 1}`);
	return size;
}

function body(exchange: Exchange, maxBytes: number): AsyncIterable<Uint8Array> {
	const { request, limits, clock } = exchange;
	return requestBody(request, { maxBytes, idleMs: limits.idleMs, clock });
}

function accepted(exchange: Exchange, name: string, id: string, size: number): void {
	respondEmpty(exchange, 202, uploadHeaders(name, id, size));
}

function created(exchange: Exchange, name: string, digest: Digest): void {
	respondEmpty(exchange, 201, { Location: `/v2/${name}/blobs/${digest}`, "Docker-Content-Digest": digest });
}

/** Range has no form for "nothing yet": `0-0` is what Docker's registry says, and so its clients know. */
function uploadHeaders(name: string, id: string, size: number): Record<string, string> {
	return {
		Location: `/v2/${name}/blobs/uploads/${id}`,
		Range: `0-${Math.max(0, size - 1)}`,
		"Docker-Upload-UUID": id,
	};
}
