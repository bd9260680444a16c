import type { Digest } from "../../core/image/digest.ts";
import { mediaTypes } from "../../core/image/manifest.ts";
import type { StoredManifest } from "../../core/repository/repository-store.ts";
import type { Exchange } from "./exchange.ts";
import { refuse } from "./oci-error.ts";
import { nextLink, pageOf, requireDigest, respondJson } from "./respond.ts";

/** Referrers read from the store at a time: each may carry 4 MiB of annotations. */
const referrersAtOnce = 16;
/** One answer is a manifest, and no larger than one may be. */
const maxReferrersBytes = 4 * 1024 * 1024;

/** end-8. Tags come in ASCII order. */
export async function listTags(exchange: Exchange, name: string): Promise<void> {
	const { repositories } = exchange;
	if (!(await repositories.getRepository(name)))
		throw refuse("RepositoryUnknown", `Repository '${name}' does not exist`);
	const { n, last } = pageOf(exchange);
	const found = n === 0 ? [] : await repositories.listTags(name, { limit: n + 1, ...(last ? { after: last } : {}) });
	const tags = found.slice(0, n).map((one) => one.tag);
	respondJson(
		exchange,
		JSON.stringify({ name, tags }),
		linkFor(`/v2/${name}/tags/list`, found.length > n, n, tags.at(-1)),
	);
}

/** `GET /v2/_catalog` of Docker's registry API, which clients still use to look around. */
export async function listRepositories(exchange: Exchange): Promise<void> {
	const { n, last } = pageOf(exchange);
	const page = { limit: n + 1, ...(last ? { after: last } : {}) };
	const found = n === 0 ? [] : await exchange.repositories.listRepositories(page);
	const repositories = found.slice(0, n).map((one) => one.name);
	const link = linkFor("/v2/_catalog", found.length > n, n, repositories.at(-1));
	respondJson(exchange, JSON.stringify({ repositories }), link);
}

function linkFor(path: string, more: boolean, n: number, last: string | undefined): Record<string, string> {
	return more && last !== undefined ? { Link: nextLink(path, { n: String(n), last }) } : {};
}

/** end-12. Of a repository or a subject that is not there the list is empty, never 404. */
export async function listReferrers(exchange: Exchange, name: string, text: string): Promise<void> {
	const { query, limits } = exchange;
	const subject = requireDigest(text);
	const artifactType = query.get("artifactType") ?? undefined;
	const lastText = query.get("last");
	let after = lastText === null ? undefined : requireDigest(lastText);
	const descriptors: string[] = [];
	let bytes = 0;
	let more = false;
	for await (const manifest of referrers(exchange, name, subject, after)) {
		if (artifactType !== undefined && manifest.artifactType !== artifactType) continue;
		const descriptor = JSON.stringify(toDescriptor(manifest));
		const fits = descriptors.length < limits.pageEntries && bytes + descriptor.length <= maxReferrersBytes;
		if (!fits && descriptors.length > 0) {
			more = true;
			break;
		}
		descriptors.push(descriptor);
		bytes += descriptor.length;
		after = manifest.digest;
	}
	const body = `{"schemaVersion":2,"mediaType":"${mediaTypes.ociIndex}","manifests":[${descriptors.join(",")}]}`;
	const next = { ...(artifactType === undefined ? {} : { artifactType }), last: after ?? "" };
	const headers = {
		...(artifactType === undefined ? {} : { "OCI-Filters-Applied": "artifactType" }),
		...(more ? { Link: nextLink(`/v2/${name}/referrers/${subject}`, next) } : {}),
	};
	respondJson(exchange, body, headers, mediaTypes.ociIndex);
}

async function* referrers(
	{ repositories }: Exchange,
	name: string,
	subject: Digest,
	from: Digest | undefined,
): AsyncIterable<StoredManifest> {
	for (let after = from; ; ) {
		const page = { limit: referrersAtOnce, ...(after ? { after } : {}) };
		const found = await repositories.listReferrers(name, subject, page);
		yield* found;
		after = found.at(-1)?.digest;
		if (found.length < referrersAtOnce) return;
	}
}

function toDescriptor(manifest: StoredManifest): Record<string, unknown> {
	const { mediaType, digest, size, artifactType, annotations } = manifest;
	return { mediaType, digest, size, artifactType, annotations };
}
