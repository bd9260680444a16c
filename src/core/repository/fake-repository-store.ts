import { SlipwayError } from "../../base/error.ts";
import type { Digest } from "../image/digest.ts";
import type { Repository, RepositoryStore, StoredManifest } from "./repository-store.ts";

interface Held {
	repository: Repository;
	manifests: Map<Digest, StoredManifest>;
	tags: Map<string, Digest>;
	blobs: Set<Digest>;
}

/** A RepositoryStore in memory, for tests. */
export class FakeRepositoryStore implements RepositoryStore {
	readonly #held = new Map<string, Held>();

	async createRepository(repository: Repository, options: { ifMissing?: boolean } = {}): Promise<void> {
		const { name } = repository;
		if (this.#held.has(name)) {
			if (options.ifMissing) return;
			throw new SlipwayError("ALREADY_EXISTS", `Repository '${name}' already exists`);
		}
		const held = { manifests: new Map(), tags: new Map(), blobs: new Set<Digest>() };
		this.#held.set(name, { repository: structuredClone(repository), ...held });
	}

	async getRepository(name: string): Promise<Repository | undefined> {
		return structuredClone(this.#held.get(name)?.repository);
	}

	async updateRepository(name: string, change: Partial<Omit<Repository, "name" | "createdMs">>): Promise<Repository> {
		const held = this.#require(name);
		held.repository = { ...held.repository, ...structuredClone(change) };
		return structuredClone(held.repository);
	}

	async deleteRepository(name: string): Promise<void> {
		this.#require(name);
		this.#held.delete(name);
	}

	async listRepositories(page: { after?: string; limit: number }): Promise<Repository[]> {
		return paged([...this.#held.values()], (held) => held.repository.name, page).map((held) =>
			structuredClone(held.repository),
		);
	}

	async putManifest(repository: string, manifest: StoredManifest, tag?: string): Promise<void> {
		const held = this.#require(repository);
		const current = tag === undefined ? undefined : held.tags.get(tag);
		if (held.repository.tagMutability === "IMMUTABLE" && current !== undefined && current !== manifest.digest)
			throw new SlipwayError("CONFLICT", `Tag '${tag}' already names another image`, {
				reason: "ImageTagAlreadyExists",
			});
		held.manifests.set(manifest.digest, structuredClone(manifest));
		if (tag !== undefined) held.tags.set(tag, manifest.digest);
	}

	async getManifest(
		repository: string,
		reference: { digest: Digest } | { tag: string },
	): Promise<StoredManifest | undefined> {
		const held = this.#held.get(repository);
		const digest = "digest" in reference ? reference.digest : held?.tags.get(reference.tag);
		return held && digest && this.#read(held, digest);
	}

	async deleteManifest(repository: string, digest: Digest): Promise<void> {
		const held = this.#held.get(repository);
		if (!held?.manifests.delete(digest)) throw new SlipwayError("NOT_FOUND", `Manifest '${digest}' does not exist`);
		for (const [tag, of] of held.tags) if (of === digest) held.tags.delete(tag);
	}

	async deleteTag(repository: string, tag: string): Promise<void> {
		if (!this.#held.get(repository)?.tags.delete(tag))
			throw new SlipwayError("NOT_FOUND", `Tag '${tag}' does not exist`);
	}

	async listManifests(repository: string, page: { after?: Digest; limit: number }): Promise<StoredManifest[]> {
		const held = this.#held.get(repository);
		if (!held) return [];
		return paged([...held.manifests.keys()], (digest) => digest, page).map((digest) => this.#read(held, digest)!);
	}

	async listTags(
		repository: string,
		page: { after?: string; limit: number },
	): Promise<{ tag: string; digest: Digest }[]> {
		const tags = [...(this.#held.get(repository)?.tags ?? [])];
		return paged(tags, ([tag]) => tag, page).map(([tag, digest]) => ({ tag, digest }));
	}

	async listReferrers(
		repository: string,
		subject: Digest,
		page: { after?: Digest; limit: number } = { limit: 10_000 },
	): Promise<StoredManifest[]> {
		const held = this.#held.get(repository);
		if (!held) return [];
		const found = [...held.manifests.values()].filter((manifest) => manifest.subject === subject);
		return paged(found, (manifest) => manifest.digest, page).map((manifest) => this.#read(held, manifest.digest)!);
	}

	async linkBlob(repository: string, digest: Digest): Promise<void> {
		this.#require(repository).blobs.add(digest);
	}

	async hasBlob(repository: string, digest: Digest): Promise<boolean> {
		return this.#held.get(repository)?.blobs.has(digest) ?? false;
	}

	async unlinkBlob(repository: string, digest: Digest): Promise<void> {
		this.#held.get(repository)?.blobs.delete(digest);
	}

	async findBlob(digest: Digest): Promise<string | undefined> {
		return [...this.#held.values()].find((held) => held.blobs.has(digest))?.repository.name;
	}

	async referencedDigests(): Promise<Set<Digest>> {
		const all = [...this.#held.values()];
		const manifests = all.flatMap((held) => [...held.manifests.values()]);
		const links = all.flatMap((held) => [...held.blobs]);
		return new Set([...links, ...manifests.flatMap((manifest) => [manifest.digest, ...manifest.references])]);
	}

	#read(held: Held, digest: Digest): StoredManifest | undefined {
		const manifest = held.manifests.get(digest);
		if (!manifest) return undefined;
		const tags = [...held.tags].filter(([, of]) => of === digest).map(([tag]) => tag);
		return { ...structuredClone(manifest), tags: tags.sort() };
	}

	#require(name: string): Held {
		const held = this.#held.get(name);
		if (!held)
			throw new SlipwayError("NOT_FOUND", `Repository '${name}' does not exist`, { reason: "RepositoryUnknown" });
		return held;
	}
}

function paged<T>(all: T[], key: (one: T) => string, page: { after?: string; limit: number }): T[] {
	const order = (a: T, b: T) => (key(a) < key(b) ? -1 : 1);
	const rest = page.after === undefined ? all : all.filter((one) => key(one) > (page.after ?? ""));
	return rest.sort(order).slice(0, page.limit);
}
