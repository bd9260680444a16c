import { SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { FunctionAlias, FunctionRecord } from "../../core/function/function.ts";
import { type FunctionRecords, own, without } from "./records.ts";
import { checkRevisionId } from "./states.ts";

export interface AliasInput {
	version?: string;
	description?: string;
	/** Null takes the routing away. */
	routing?: { version: string; weight: number } | null;
}

export interface FunctionAliasesDeps {
	records: FunctionRecords;
	ids: Pick<Ids, "uuid">;
}

/** Of one function: they are all in its record, which each change writes whole. */
export const maxAliases = 1000;
/** Characters (lambda-contract 4.3). */
const maxNameLength = 128;

/** Names for versions. Words and rules: lambda-contract 4.3 and 4.4. */
export class FunctionAliases {
	readonly #records: FunctionRecords;
	readonly #ids: Pick<Ids, "uuid">;

	constructor({ records, ids }: FunctionAliasesDeps) {
		this.#records = records;
		this.#ids = ids;
	}

	/** NOT_FOUND for a version that is not there, ALREADY_EXISTS, INVALID. */
	async create(name: string, alias: string, input: AliasInput): Promise<FunctionAlias> {
		checkName(alias);
		const { version, description = "", routing } = input;
		if (version === undefined) throw invalid("Function version is required for an alias");
		const created = { name: alias, description, version, routing: routing ?? undefined, revisionId: this.#ids.uuid() };
		const decide = (record: FunctionRecord) => {
			this.#checkVersion(name, version);
			if (Object.hasOwn(record.aliases, alias))
				throw new SlipwayError("ALREADY_EXISTS", `Alias already exists: ${this.#records.arn(name, alias)}`);
			this.#checkRouting(name, created);
			if (Object.keys(record.aliases).length >= maxAliases)
				throw new SlipwayError("INVALID", `A function can have ${maxAliases} aliases`, {
					reason: "AliasLimitExceededException",
				});
			return withAlias(record, created);
		};
		await this.#records.change(name, decide, version);
		return created;
	}

	/** NOT_FOUND. */
	get(name: string, alias: string): FunctionAlias {
		const found = ofRecord(this.#records.find(name), alias);
		if (!found) throw new SlipwayError("NOT_FOUND", `Cannot find alias arn: ${this.#records.arn(name, alias)}`);
		return found;
	}

	/** By name; those whose own version is this one. NOT_FOUND for the function. */
	list(name: string, version?: string): FunctionAlias[] {
		const all = Object.values(this.#records.get(name).aliases);
		const listed = version === undefined ? all : all.filter((alias) => alias.version === version);
		return listed.sort((a, b) => (a.name < b.name ? -1 : 1));
	}

	/** What is not given stays; the revision id changes in any case. NOT_FOUND, PRECONDITION, INVALID. */
	async update(name: string, alias: string, input: AliasInput & { revisionId?: string }): Promise<FunctionAlias> {
		const revisionId = this.#ids.uuid();
		const record = await this.#records.change(name, (before) => {
			const current = ofRecord(before, alias);
			if (!current) throw new SlipwayError("NOT_FOUND", `Alias not found: ${this.#records.arn(name, alias)}`);
			checkRevisionId(input.revisionId, current.revisionId);
			const { version = current.version, description = current.description } = input;
			const routing = input.routing === undefined ? current.routing : (input.routing ?? undefined);
			if (input.version !== undefined) this.#checkVersion(name, version);
			const updated = { name: alias, description, version, routing, revisionId };
			this.#checkRouting(name, updated);
			return withAlias(before, updated);
		});
		return ofRecord(record, alias) ?? this.get(name, alias);
	}

	/** With its policy, its URL and its provisioned concurrency. Idempotent; NOT_FOUND for the function. */
	async delete(name: string, alias: string): Promise<void> {
		await this.#records.change(name, (record) =>
			ofRecord(record, alias)
				? {
						...record,
						aliases: without(record.aliases, alias),
						policies: without(record.policies, alias),
						urls: without(record.urls, alias),
						provisionedConcurrency: without(record.provisionedConcurrency, alias),
					}
				: undefined,
		);
	}

	#checkVersion(name: string, version: string): void {
		if (version !== "$LATEST" && !this.#records.version(name, version))
			throw new SlipwayError("NOT_FOUND", `Function not found: ${this.#records.arn(name, version)}`);
	}

	#checkRouting(name: string, { version, routing }: FunctionAlias): void {
		if (!routing) return;
		const { version: other, weight } = routing;
		const where = `Value '{${other}=${weight}}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint:`;
		if (!(weight >= 0 && weight <= 1))
			throw validation(
				`${where} Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be null]`,
			);
		if (other === version)
			throw invalid(
				`Invalid function version ${other}. Function version ${other} is already included in routing configuration.`,
			);
		if (version === "$LATEST") throw invalid("$LATEST is not supported for an alias pointing to more than 1 version");
		if (!/^[0-9]{1,1024}$/.test(other))
			throw validation(
				`${where} Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]`,
			);
		this.#checkVersion(name, other);
	}
}

function ofRecord(record: FunctionRecord | undefined, alias: string): FunctionAlias | undefined {
	return record && own(record.aliases, alias);
}

function withAlias(record: FunctionRecord, alias: FunctionAlias): FunctionRecord {
	return { ...record, aliases: { ...record.aliases, [alias.name]: alias } };
}

function checkName(alias: string): void {
	const where = `Value '${alias.slice(0, 256)}' at 'name' failed to satisfy constraint:`;
	if (alias.length > maxNameLength)
		throw validation(`${where} Member must have length less than or equal to ${maxNameLength}`);
	if (!/^(?!^[0-9]+$)([a-zA-Z0-9-_]+)$/.test(alias))
		throw validation(`${where} Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)`);
}

function invalid(message: string): SlipwayError {
	return new SlipwayError("INVALID", message);
}

function validation(what: string): SlipwayError {
	return new SlipwayError("INVALID", `1 validation error detected: ${what}`, { reason: "ValidationException" });
}
