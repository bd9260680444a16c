import type { Digest } from "../../core/image/digest.ts";
import type { RepositoryStore, StoredManifest } from "../../core/repository/repository-store.ts";

/** A page of the store's listings. */
const pageRows = 500;

export async function* allManifests(repositories: RepositoryStore, repository: string): AsyncGenerator<StoredManifest> {
	for (let after: Digest | undefined; ; ) {
		const page = await repositories.listManifests(repository, { limit: pageRows, ...(after ? { after } : {}) });
		yield* page;
		after = page.at(-1)?.digest;
		if (page.length < pageRows || after === undefined) return;
	}
}

export async function* allRepositories(repositories: RepositoryStore): AsyncGenerator<string> {
	for (let after: string | undefined; ; ) {
		const page = await repositories.listRepositories({ limit: pageRows, ...(after ? { after } : {}) });
		for (const repository of page) yield repository.name;
		after = page.at(-1)?.name;
		if (page.length < pageRows || after === undefined) return;
	}
}

/**
 * Deletes an image with its tags, and the links to those of its blobs that no other manifest of the repository has, so
 * that the collector may take them. NOT_FOUND.
 */
export async function deleteImage(repositories: RepositoryStore, repository: string, digest: Digest): Promise<void> {
	const manifest = await repositories.getManifest(repository, { digest });
	await repositories.deleteManifest(repository, digest);
	const unneeded = new Set(manifest?.references);
	for await (const other of allManifests(repositories, repository))
		for (const reference of other.references) unneeded.delete(reference);
	for (const reference of unneeded) await repositories.unlinkBlob(repository, reference);
	// An image that was pushed meanwhile found the blobs there and counts on them.
	for await (const other of allManifests(repositories, repository))
		for (const reference of other.references)
			if (unneeded.has(reference)) await repositories.linkBlob(repository, reference);
}
