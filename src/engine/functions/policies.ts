import { SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { FunctionRecord, PolicyStatement, ResourcePolicy } from "../../core/function/function.ts";
import { isPrincipal, type PolicyRequest, policyDocument, statementAllows } from "./policy-document.ts";
import { type FunctionRecords, own, type RecordChange, without } from "./records.ts";
import { checkRevisionId } from "./states.ts";

export interface FunctionPoliciesDeps {
	records: FunctionRecords;
	ids: Pick<Ids, "uuid">;
}

/** Bytes of a policy's JSON (lambda-contract 3.8). */
export const maxPolicyBytes = 20_480;

/**
 * Resource policies of functions, versions and aliases: who may call them. A policy's revision id is that of what it
 * belongs to, which changes with it. Words and rules: lambda-contract 4.4.
 */
export class FunctionPolicies {
	readonly #records: FunctionRecords;
	readonly #ids: Pick<Ids, "uuid">;

	constructor({ records, ids }: FunctionPoliciesDeps) {
		this.#records = records;
		this.#ids = ids;
	}

	/** NOT_FOUND, PRECONDITION, ALREADY_EXISTS for a statement id, INVALID also past 20 KB. */
	async add(name: string, qualifier: string, statement: PolicyStatement, revisionId?: string): Promise<ResourcePolicy> {
		if (qualifier === "$LATEST")
			throw new SlipwayError("INVALID", "We currently do not support adding policies for $LATEST.");
		await this.#records.change(name, (record) => {
			const current = this.#revisionId(record, qualifier);
			checkRevisionId(revisionId, current, "GetPolicy");
			checkStatement(statement);
			const statements = own(record.policies, qualifier)?.statements ?? [];
			if (statements.some(({ sid }) => sid === statement.sid))
				throw new SlipwayError(
					"ALREADY_EXISTS",
					`The statement id (${statement.sid}) provided already exists. Please provide a new statement id, or remove the existing statement.`,
				);
			const added = [...statements, statement];
			checkSize(added, this.#records.arn(name, qualifier));
			return this.#changed(record, qualifier, added);
		});
		return this.get(name, qualifier);
	}

	/** NOT_FOUND without one. */
	get(name: string, qualifier: string): ResourcePolicy {
		const record = this.#records.find(name);
		const policy = record && own(record.policies, qualifier);
		if (!record || !policy) throw new SlipwayError("NOT_FOUND", "The resource you requested does not exist.");
		return { statements: policy.statements, revisionId: this.#revisionId(record, qualifier) };
	}

	/** NOT_FOUND for the policy or the statement, PRECONDITION. */
	async remove(name: string, qualifier: string, sid: string, revisionId?: string): Promise<void> {
		if (!this.#records.find(name))
			throw new SlipwayError("NOT_FOUND", `No policy found for: ${this.#records.arn(name)}`);
		await this.#records.change(name, (record) => {
			const current = this.#revisionId(record, qualifier);
			const policy = own(record.policies, qualifier);
			if (!policy) throw new SlipwayError("NOT_FOUND", "No policy is associated with the given resource.");
			const kept = policy.statements.filter((statement) => statement.sid !== sid);
			if (kept.length === policy.statements.length)
				throw new SlipwayError("NOT_FOUND", `Statement ${sid} is not found in resource policy.`);
			checkRevisionId(revisionId, current);
			return this.#changed(record, qualifier, kept);
		});
	}

	/** What the policy of the function ("" as qualifier), version or alias says; false without a policy. */
	allows(name: string, qualifier: string, request: PolicyRequest): boolean {
		const record = this.#records.find(name);
		const policy = record && own(record.policies, qualifier);
		return policy?.statements.some((statement) => statementAllows(statement, request)) ?? false;
	}

	/**
	 * May anybody call the function URL, whose AuthType is NONE? Both are needed since October 2025: the URL by
	 * lambda:InvokeFunctionUrl, and through it the function by lambda:InvokeFunction (AWS Lambda developer guide, "Control
	 * access to Lambda function URLs").
	 */
	allowsAnybody(name: string, qualifier: string): boolean {
		const caller = { principal: "*", functionUrlAuthType: "NONE", invokedViaFunctionUrl: true } as const;
		return (
			this.allows(name, qualifier, { ...caller, action: "lambda:InvokeFunctionUrl" }) &&
			this.allows(name, qualifier, { ...caller, action: "lambda:InvokeFunction" })
		);
	}

	/** NOT_FOUND for a version or an alias that is not there. */
	#revisionId(record: FunctionRecord, qualifier: string): string {
		if (qualifier === "") return record.revisionId;
		const found = own(record.aliases, qualifier) ?? this.#records.version(record.name, qualifier);
		if (found) return found.revisionId;
		const arn = this.#records.arn(record.name, qualifier);
		const isAlias = /^(?!^[0-9]+$)[a-zA-Z0-9-_]+$/.test(qualifier);
		throw new SlipwayError("NOT_FOUND", isAlias ? `Cannot find alias arn: ${arn}` : `Function not found: ${arn}`);
	}

	#changed(record: FunctionRecord, qualifier: string, statements: PolicyStatement[]): FunctionRecord | RecordChange {
		const revisionId = this.#ids.uuid();
		const policies =
			statements.length === 0
				? without(record.policies, qualifier)
				: { ...record.policies, [qualifier]: { statements, revisionId } };
		const changed = { ...record, policies };
		if (qualifier === "") return { ...changed, revisionId };
		const alias = own(record.aliases, qualifier);
		if (alias) return { ...changed, aliases: { ...record.aliases, [qualifier]: { ...alias, revisionId } } };
		const version = this.#records.version(record.name, qualifier);
		return version ? { record: changed, version: { ...version, revisionId } } : changed;
	}
}

function checkStatement(statement: PolicyStatement): void {
	const { sid, action, principal, functionUrlAuthType, invokedViaFunctionUrl } = statement;
	if (!/^[a-zA-Z0-9-_]{1,100}$/.test(sid)) throw outOfPattern("statementId", sid, "([a-zA-Z0-9-_]+)");
	if (!/^(lambda:[*]|lambda:[a-zA-Z]+|[*])$/.test(action))
		throw outOfPattern("action", action, "(lambda:[*]|lambda:[a-zA-Z]+|[*])");
	if (!isPrincipal(principal))
		throw new SlipwayError("INVALID", "The provided principal was invalid. Please check the principal and try again.");
	if (functionUrlAuthType !== undefined && action !== "lambda:InvokeFunctionUrl")
		throw new SlipwayError("INVALID", "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action");
	if (invokedViaFunctionUrl !== undefined && action !== "lambda:InvokeFunction")
		throw new SlipwayError("INVALID", "InvokedViaFunctionUrl is only supported for lambda:InvokeFunction action");
}

function checkSize(statements: readonly PolicyStatement[], arn: string): void {
	const bytes = Buffer.byteLength(JSON.stringify(policyDocument(statements, arn)));
	if (bytes > maxPolicyBytes)
		throw new SlipwayError(
			"INVALID",
			`The final policy size (${bytes}) is bigger than the limit (${maxPolicyBytes}).`,
			{
				reason: "PolicyLengthExceededException",
			},
		);
}

function outOfPattern(member: string, value: string, pattern: string): SlipwayError {
	return new SlipwayError(
		"INVALID",
		`1 validation error detected: Value '${value.slice(0, 256)}' at '${member}' failed to satisfy constraint: Member must satisfy regular expression pattern: ${pattern}`,
		{ reason: "ValidationException" },
	);
}
