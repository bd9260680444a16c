import { SlipwayError } from "../../base/error.ts";
import type { Row } from "../../base/sqlite-database.ts";
import type { Digest } from "../../core/image/digest.ts";
import type { Repository, RepositoryStore, StoredManifest } from "../../core/repository/repository-store.ts";
import type { Database } from "./database.ts";
import type { Sync } from "./sync.ts";

/** Rows in one answer at most, whatever the caller asks for: what one message between the threads may hold. */
const maxRows = 10_000;

const manifestColumns = `m.digest, m.media_type, m.size, m.pushed_ms, m.image_size, m.refs, m.subject, m.artifact_type,
	m.annotations,
	(SELECT json_group_array(tag) FROM (SELECT tag FROM tag t WHERE t.repository = m.repository AND t.digest = m.digest
		ORDER BY tag)) AS tags`;

/** RepositoryStore on the database's own thread, without promises. Every method is one transaction of the caller's. */
export class RepositoryQueries implements Sync<RepositoryStore> {
	readonly #db: Database;

	constructor(db: Database) {
		this.#db = db;
	}

	createRepository(repository: Repository, options: { ifMissing?: boolean } = {}): void {
		const { name, createdMs, tagMutability, tags } = repository;
		const created = this.#db.run(
			"INSERT INTO repository (name, created_ms, tag_mutability, tags) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
			name,
			createdMs,
			tagMutability,
			JSON.stringify(tags),
		);
		if (created === 0 && !options.ifMissing)
			throw new SlipwayError("ALREADY_EXISTS", `Repository '${name}' already exists`);
	}

	getRepository(name: string): Repository | undefined {
		const row = this.#db.get("SELECT * FROM repository WHERE name = ?", name);
		return row && toRepository(row);
	}

	updateRepository(name: string, change: Partial<Omit<Repository, "name" | "createdMs">>): Repository {
		const current = this.getRepository(name);
		if (!current) throw unknownRepository(name);
		const next = { ...current, ...change };
		this.#db.run(
			"UPDATE repository SET tag_mutability = ?, tags = ? WHERE name = ?",
			next.tagMutability,
			JSON.stringify(next.tags),
			name,
		);
		return next;
	}

	deleteRepository(name: string): void {
		if (this.#db.run("DELETE FROM repository WHERE name = ?", name) === 0) throw unknownRepository(name);
	}

	listRepositories(page: { after?: string; limit: number }): Repository[] {
		const sql = "SELECT * FROM repository WHERE name > ? ORDER BY name LIMIT ?";
		return this.#db.all(sql, page.after ?? "", rows(page.limit)).map(toRepository);
	}

	putManifest(repository: string, manifest: StoredManifest, tag?: string): void {
		const found = this.#requireRepository(repository);
		if (tag !== undefined) this.#checkTag(found, manifest.digest, tag);
		this.#db.run(
			`INSERT INTO manifest (repository, digest, media_type, size, pushed_ms, image_size, refs, subject,
				artifact_type, annotations) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (repository, digest) DO UPDATE SET media_type = excluded.media_type, size = excluded.size,
				pushed_ms = excluded.pushed_ms, image_size = excluded.image_size, refs = excluded.refs,
				subject = excluded.subject, artifact_type = excluded.artifact_type, annotations = excluded.annotations`,
			repository,
			manifest.digest,
			manifest.mediaType,
			manifest.size,
			manifest.pushedMs,
			manifest.imageSize,
			JSON.stringify(manifest.references),
			manifest.subject ?? null,
			manifest.artifactType ?? null,
			manifest.annotations ? JSON.stringify(manifest.annotations) : null,
		);
		if (tag === undefined) return;
		this.#db.run(
			`INSERT INTO tag (repository, tag, digest) VALUES (?, ?, ?)
			ON CONFLICT (repository, tag) DO UPDATE SET digest = excluded.digest`,
			repository,
			tag,
			manifest.digest,
		);
	}

	#checkTag(repository: Repository, digest: Digest, tag: string): void {
		if (repository.tagMutability === "MUTABLE") return;
		const held = this.#db.get("SELECT digest FROM tag WHERE repository = ? AND tag = ?", repository.name, tag);
		if (!held || held.digest === digest) return;
		throw new SlipwayError(
			"CONFLICT",
			`Tag '${tag}' of repository '${repository.name}' already names another image, and the repository's tags are immutable`,
			{ reason: "ImageTagAlreadyExists", hint: "Push under another tag, or make the repository's tags mutable" },
		);
	}

	getManifest(repository: string, reference: { digest: Digest } | { tag: string }): StoredManifest | undefined {
		const row =
			"digest" in reference
				? this.#db.get(
						`SELECT ${manifestColumns} FROM manifest m WHERE m.repository = ? AND m.digest = ?`,
						repository,
						reference.digest,
					)
				: this.#db.get(
						`SELECT ${manifestColumns} FROM manifest m JOIN tag USING (repository, digest)
						WHERE m.repository = ? AND tag.tag = ?`,
						repository,
						reference.tag,
					);
		return row && toManifest(row);
	}

	deleteManifest(repository: string, digest: Digest): void {
		if (this.#db.run("DELETE FROM manifest WHERE repository = ? AND digest = ?", repository, digest) === 0)
			throw new SlipwayError("NOT_FOUND", `Manifest '${digest}' does not exist in repository '${repository}'`);
	}

	deleteTag(repository: string, tag: string): void {
		if (this.#db.run("DELETE FROM tag WHERE repository = ? AND tag = ?", repository, tag) === 0)
			throw new SlipwayError("NOT_FOUND", `Tag '${tag}' does not exist in repository '${repository}'`);
	}

	listManifests(repository: string, page: { after?: Digest; limit: number }): StoredManifest[] {
		const sql = `SELECT ${manifestColumns} FROM manifest m WHERE m.repository = ? AND m.digest > ? ORDER BY m.digest LIMIT ?`;
		return this.#db.all(sql, repository, page.after ?? "", rows(page.limit)).map(toManifest);
	}

	listTags(repository: string, page: { after?: string; limit: number }): { tag: string; digest: Digest }[] {
		const sql = "SELECT tag, digest FROM tag WHERE repository = ? AND tag > ? ORDER BY tag LIMIT ?";
		const found = this.#db.all(sql, repository, page.after ?? "", rows(page.limit));
		return found.map((row) => ({ tag: row.tag as string, digest: row.digest as Digest }));
	}

	listReferrers(
		repository: string,
		subject: Digest,
		page: { after?: Digest; limit: number } = { limit: maxRows },
	): StoredManifest[] {
		const sql = `SELECT ${manifestColumns} FROM manifest m
			WHERE m.repository = ? AND m.subject = ? AND m.digest > ? ORDER BY m.digest LIMIT ?`;
		return this.#db.all(sql, repository, subject, page.after ?? "", rows(page.limit)).map(toManifest);
	}

	linkBlob(repository: string, digest: Digest): void {
		this.#requireRepository(repository);
		this.#db.run("INSERT INTO blob_link (repository, digest) VALUES (?, ?) ON CONFLICT DO NOTHING", repository, digest);
	}

	hasBlob(repository: string, digest: Digest): boolean {
		return (
			this.#db.get("SELECT 1 FROM blob_link WHERE repository = ? AND digest = ?", repository, digest) !== undefined
		);
	}

	unlinkBlob(repository: string, digest: Digest): void {
		this.#db.run("DELETE FROM blob_link WHERE repository = ? AND digest = ?", repository, digest);
	}

	findBlob(digest: Digest): string | undefined {
		return this.#db.get("SELECT repository FROM blob_link WHERE digest = ? LIMIT 1", digest)?.repository as
			| string
			| undefined;
	}

	referencedDigests(): Set<Digest> {
		const found = this.#db.all(`SELECT digest FROM manifest UNION SELECT digest FROM blob_link
			UNION SELECT value FROM manifest, json_each(manifest.refs)`);
		return new Set(found.map((row) => row.digest as Digest));
	}

	#requireRepository(name: string): Repository {
		const repository = this.getRepository(name);
		if (!repository) throw unknownRepository(name);
		return repository;
	}
}

function unknownRepository(name: string): SlipwayError {
	return new SlipwayError("NOT_FOUND", `Repository '${name}' does not exist`, { reason: "RepositoryUnknown" });
}

function rows(limit: number): number {
	return Math.max(0, Math.min(Math.trunc(limit), maxRows));
}

function toRepository(row: Row): Repository {
	return {
		name: row.name as string,
		createdMs: row.created_ms as number,
		tagMutability: row.tag_mutability as Repository["tagMutability"],
		tags: JSON.parse(row.tags as string),
	};
}

function toManifest(row: Row): StoredManifest {
	return {
		digest: row.digest as Digest,
		mediaType: row.media_type as string,
		size: row.size as number,
		pushedMs: row.pushed_ms as number,
		imageSize: row.image_size as number,
		references: JSON.parse(row.refs as string),
		...(row.subject === null ? {} : { subject: row.subject as Digest }),
		...(row.artifact_type === null ? {} : { artifactType: row.artifact_type as string }),
		...(row.annotations === null ? {} : { annotations: JSON.parse(row.annotations as string) }),
		tags: JSON.parse(row.tags as string),
	};
}
