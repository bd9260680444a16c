import { assert, SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { FunctionAlias, FunctionRecord, FunctionVersion } from "../../core/function/function.ts";
import { type AliasInput, FunctionAliases } from "./aliases.ts";
import { checkRoomForVersion, publishNext, unchangedVersion } from "./publishing.ts";
import { type FunctionRecords, without } from "./records.ts";
import { checkRevisionId, checkSettled } from "./states.ts";

export type { AliasInput } from "./aliases.ts";

export interface PublishInput {
	/** Of the version, instead of the function's. */
	description?: string;
	/** Hex digest that $LATEST's code must have. */
	codeSha256?: string;
	revisionId?: string;
}

export interface FunctionVersionsDeps {
	records: FunctionRecords;
	ids: Pick<Ids, "uuid">;
}

/** Published versions, and with them the aliases that name them. Words and rules: lambda-contract 4.3 and 4.4. */
export class FunctionVersions {
	readonly #records: FunctionRecords;
	readonly #ids: Pick<Ids, "uuid">;
	readonly #aliases: FunctionAliases;

	constructor({ records, ids }: FunctionVersionsDeps) {
		this.#records = records;
		this.#ids = ids;
		this.#aliases = new FunctionAliases({ records, ids });
	}

	/**
	 * What $LATEST is now, for good; the last version when nothing has changed since, whatever the description. NOT_FOUND,
	 * PRECONDITION, INVALID for another CodeSha256, CONFLICT while the function is being made or updated or when that failed.
	 */
	async publish(name: string, input: PublishInput): Promise<FunctionVersion> {
		let published: FunctionVersion | undefined;
		await this.#records.change(name, (record) => {
			checkRevisionId(input.revisionId, record.revisionId);
			checkCodeSha256(input.codeSha256, record);
			checkPublishable(record);
			published = unchangedVersion(this.#records, record);
			if (published) return undefined;
			checkRoomForVersion(this.#records, name);
			const { description } = input;
			const change = publishNext(record, { description, state: { state: "Active" }, ids: this.#ids });
			published = change.version;
			return change;
		});
		assert(published, "a publication ends with a version or throws");
		return published;
	}

	/** NOT_FOUND. */
	get(name: string, version: string): FunctionVersion {
		const found = this.#records.version(name, version);
		if (!found) throw new SlipwayError("NOT_FOUND", `Function not found: ${this.#records.arn(name, version)}`);
		return found;
	}

	/** By number. NOT_FOUND for the function. */
	list(name: string): FunctionVersion[] {
		this.#records.get(name);
		return [...this.#records.versions(name)];
	}

	/** With its policy and its provisioned concurrency. NOT_FOUND for the function, CONFLICT while an alias names it. */
	async delete(name: string, version: string): Promise<void> {
		await this.#records.change(name, (record) => {
			if (!this.#records.version(name, version)) return undefined;
			const users = Object.values(record.aliases).filter(
				(alias) => alias.version === version || alias.routing?.version === version,
			);
			if (users.length > 0)
				throw new SlipwayError(
					"CONFLICT",
					`Unable to delete version because the following aliases reference it: [${users.map((alias) => alias.name).join(", ")}]`,
				);
			const policies = without(record.policies, version);
			const provisionedConcurrency = without(record.provisionedConcurrency, version);
			return { record: { ...record, policies, provisionedConcurrency }, deleted: version };
		});
	}

	createAlias(name: string, alias: string, input: AliasInput): Promise<FunctionAlias> {
		return this.#aliases.create(name, alias, input);
	}

	getAlias(name: string, alias: string): FunctionAlias {
		return this.#aliases.get(name, alias);
	}

	listAliases(name: string, version?: string): FunctionAlias[] {
		return this.#aliases.list(name, version);
	}

	updateAlias(name: string, alias: string, input: AliasInput & { revisionId?: string }): Promise<FunctionAlias> {
		return this.#aliases.update(name, alias, input);
	}

	deleteAlias(name: string, alias: string): Promise<void> {
		return this.#aliases.delete(name, alias);
	}
}

function checkCodeSha256(given: string | undefined, { code }: FunctionRecord): void {
	const current = code.manifestDigest?.slice("sha256:".length);
	if (given !== undefined && given !== current)
		throw new SlipwayError(
			"INVALID",
			`CodeSHA256 (${given}) is different from current CodeSHA256 in $LATEST (${current}). Please try again with the CodeSHA256 in $LATEST.`,
		);
}

function checkPublishable(record: FunctionRecord): void {
	checkSettled(record);
	const { state, lastUpdate } = record;
	if (state.state === "Active" && lastUpdate.status === "Successful") return;
	const why = lastUpdate.status === "Failed" ? ` Its last update failed: ${lastUpdate.reason}` : "";
	throw new SlipwayError(
		"CONFLICT",
		`The operation cannot be performed at this time. The function is currently in the following state: Failed${why ? `.${why}` : ""}`,
	);
}
