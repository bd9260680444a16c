import { SlipwayError } from "../../base/error.ts";
import type { Digest } from "../../core/image/digest.ts";
import { sendStream } from "./body.ts";
import type { Exchange } from "./exchange.ts";
import { refuse } from "./oci-error.ts";
import { parseRange } from "./range.ts";
import { contentHeaders, notModified, requireDigest, respondEmpty } from "./respond.ts";

/** end-2: GET and HEAD of a blob, with Range (RFC 9110, 14). */
export async function getBlob(exchange: Exchange, name: string, text: string): Promise<void> {
	const { request, response, blobs, log } = exchange;
	const digest = requireDigest(text);
	const found = (await exchange.repositories.hasBlob(name, digest)) ? await blobs.stat(digest) : undefined;
	if (!found) {
		if (await exchange.repositories.hasBlob(name, digest))
			log.error("A blob that the repository refers to is missing", { repository: name, digest });
		throw await unknownBlob(exchange, name, digest);
	}
	if (notModified(exchange, digest)) {
		response.writeHead(304, contentHeaders(digest));
		response.end();
		return;
	}
	const ifRange = request.headers["if-range"];
	const ranged = ifRange === undefined || ifRange === `"${digest}"`;
	const range = ranged ? parseRange(request.headers.range, found.size) : undefined;
	if (range === "unsatisfiable") {
		response.setHeader("Content-Range", `bytes */${found.size}`);
		throw refuse("RangeNotSatisfiable", `The blob has ${found.size} bytes`);
	}
	const headers = {
		...contentHeaders(digest),
		"Content-Type": "application/octet-stream",
		"Accept-Ranges": "bytes",
		"Content-Length": String(range ? range.end - range.start + 1 : found.size),
		...(range ? { "Content-Range": `bytes ${range.start}-${range.end}/${found.size}` } : {}),
	};
	if (request.method === "HEAD") {
		response.writeHead(range ? 206 : 200, headers);
		response.end();
		return;
	}
	const stream = await blobs.open(digest, range);
	response.writeHead(range ? 206 : 200, headers);
	await sendStream(response, stream, { idleMs: exchange.limits.idleMs, clock: exchange.clock });
}

/** end-10. The bytes go when nothing refers to them any more. */
export async function deleteBlob(exchange: Exchange, name: string, text: string): Promise<void> {
	const digest = requireDigest(text);
	if (!(await exchange.repositories.hasBlob(name, digest))) throw await unknownBlob(exchange, name, digest);
	await exchange.repositories.unlinkBlob(name, digest);
	respondEmpty(exchange, 202, { "Docker-Content-Digest": digest });
}

async function unknownBlob({ repositories }: Exchange, name: string, digest: Digest): Promise<SlipwayError> {
	if (!(await repositories.getRepository(name)))
		return refuse("RepositoryUnknown", `Repository '${name}' does not exist`);
	return new SlipwayError("NOT_FOUND", `Blob '${digest}' does not exist in repository '${name}'`);
}
