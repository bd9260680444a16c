import type { Clock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { Semaphore } from "../../base/semaphore.ts";
import type { FunctionRecord } from "../../core/function/function.ts";
import type { FunctionRevision } from "../../core/invocation/function-contract.ts";
import { provisionedTotal, provisionedVersions } from "./provisioned-versions.ts";
import { type FunctionRecords, own, without } from "./records.ts";

/** Who keeps sandboxes initialised; engine/dispatch/dispatch.ts fits. */
export interface Provisioning {
	/** From now on, in place of the count before; 0 lets go of them. */
	provision(revision: FunctionRevision, count: number): void;
	/** Undefined when nothing is provisioned for the version. */
	provisionedState(
		functionName: string,
		version: string,
	): { allocated: number; available: number; status: ProvisionedStatus; reason: string | undefined } | undefined;
}

type ProvisionedStatus = "IN_PROGRESS" | "READY" | "FAILED";

export interface ProvisionedView {
	requested: number;
	allocated: number;
	available: number;
	status: ProvisionedStatus;
	statusReason: string | undefined;
	lastModifiedMs: number;
}

export interface FunctionConcurrencyDeps {
	records: FunctionRecords;
	/** What serves a version now; undefined while nothing does. Up to date before the records tell of a change. */
	serving: (functionName: string, version: string) => FunctionRevision | undefined;
	provisioning: Provisioning;
	clock: Pick<Clock, "now">;
	/** Invocations at one time that the account allows. */
	accountConcurrency: number;
}

/** Of the account's concurrency, what no function may take for itself (lambda-contract 3.8). */
export const minUnreserved = 100;

/**
 * What functions have of the account's concurrency for themselves: reserved, and provisioned for versions and aliases.
 * Words and rules: lambda-contract 4.3 and 4.4. Provisioned sandboxes follow an alias to its new version; while it is
 * weighted, both versions have their share.
 */
export class FunctionConcurrency {
	readonly #deps: FunctionConcurrencyDeps;
	/** The account's limit is shared: what one function takes has to be seen by the next. */
	readonly #oneAtATime = new Semaphore(1);
	/** What the dispatcher was told last, by function and version. */
	readonly #applied = new Map<string, Map<string, { revision: FunctionRevision; count: number }>>();
	/** Kept as a sum, since each event asks. */
	#unreserved: number;
	#isRestored = false;

	constructor(deps: FunctionConcurrencyDeps) {
		this.#deps = deps;
		this.#unreserved = deps.accountConcurrency;
		for (const record of deps.records.all()) this.#unreserved -= taken(record);
		deps.records.onChange((name, before, after) => {
			this.#unreserved += taken(before) - taken(after);
			if (this.#isRestored) this.#apply(name);
		});
	}

	/** Has what is provisioned made ready again: once, when the dispatcher takes events. */
	restore(): void {
		this.#isRestored = true;
		for (const { name } of this.#deps.records.all()) this.#apply(name);
	}

	/** Of the account: what no function has for itself. */
	get unreserved(): number {
		return this.#unreserved;
	}

	/** Undefined: shares what is unreserved. For the dispatcher, at each event. */
	reserved(name: string): number | undefined {
		return this.#deps.records.find(name)?.reservedConcurrency;
	}

	/** NOT_FOUND; INVALID when less than 100 of the account's would stay unreserved, or less than what is provisioned. */
	async reserve(name: string, executions: number): Promise<void> {
		const decide = (record: FunctionRecord) => {
			if (!Number.isInteger(executions) || executions < 0)
				throw tooSmall(executions, "reservedConcurrentExecutions", 0);
			const free = this.#unreserved + taken(record);
			if (executions > 0 && free - executions < minUnreserved)
				throw new SlipwayError(
					"INVALID",
					`Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [${minUnreserved}].`,
				);
			const total = provisionedTotal(record);
			if (total > executions)
				throw new SlipwayError(
					"INVALID",
					// Two spaces, and one in front: as recorded.
					` ReservedConcurrentExecutions  ${executions} should not be lower than function's total provisioned concurrency [${total}].`,
				);
			return { ...record, reservedConcurrency: executions };
		};
		await this.#oneAtATime.run(() => this.#deps.records.change(name, decide, "$LATEST"));
	}

	/** Idempotent. NOT_FOUND for the function. */
	async unreserve(name: string): Promise<void> {
		const decide = (record: FunctionRecord) => ({ ...record, reservedConcurrency: undefined });
		await this.#oneAtATime.run(() => this.#deps.records.change(name, decide));
	}

	/**
	 * Answers before anything is made, with what there was. NOT_FOUND; INVALID; CONFLICT when the version has it already by
	 * another name, or is not ready.
	 */
	async provision(name: string, qualifier: string, executions: number): Promise<ProvisionedView> {
		if (!Number.isInteger(executions) || executions < 1)
			throw tooSmall(executions, "provisionedConcurrentExecutions", 1);
		const unpublished = "Provisioned Concurrency Configs cannot be applied to unpublished function versions.";
		if (qualifier === "" || qualifier === "$LATEST") throw new SlipwayError("INVALID", unpublished);
		this.#target(name, qualifier);
		let before: ProvisionedView | undefined;
		const config = { requested: executions, lastModifiedMs: this.#deps.clock.now() };
		const decide = (record: FunctionRecord) => {
			const version = this.#target(name, qualifier);
			if (version === "$LATEST") throw new SlipwayError("INVALID", unpublished);
			this.#checkFree(record, qualifier, executions);
			checkOtherNames(record, qualifier, version);
			if (!this.#deps.serving(name, version)) throw notReady();
			before = this.#view(record, qualifier);
			return { ...record, provisionedConcurrency: { ...record.provisionedConcurrency, [qualifier]: config } };
		};
		await this.#oneAtATime.run(() => this.#deps.records.change(name, decide, qualifier));
		const { allocated = 0, available = 0 } = before ?? {};
		return { ...config, allocated, available, status: "IN_PROGRESS", statusReason: undefined };
	}

	/** NOT_FOUND without a configuration. */
	provisioned(name: string, qualifier: string): ProvisionedView {
		checkPublished(qualifier);
		this.#target(name, qualifier);
		const view = this.#view(this.#deps.records.get(name, qualifier), qualifier);
		if (!view)
			throw new SlipwayError("NOT_FOUND", "No Provisioned Concurrency Config found for this function", {
				reason: "ProvisionedConcurrencyConfigNotFoundException",
			});
		return view;
	}

	/** By qualifier. NOT_FOUND for the function. */
	listProvisioned(name: string): { qualifier: string; view: ProvisionedView }[] {
		const record = this.#deps.records.get(name);
		return Object.keys(record.provisionedConcurrency)
			.sort()
			.flatMap((qualifier) => {
				const view = this.#view(record, qualifier);
				return view ? [{ qualifier, view }] : [];
			});
	}

	/** Idempotent. NOT_FOUND for the function, version or alias. */
	async unprovision(name: string, qualifier: string): Promise<void> {
		checkPublished(qualifier);
		this.#target(name, qualifier);
		const decide = (record: FunctionRecord) =>
			own(record.provisionedConcurrency, qualifier) && {
				...record,
				provisionedConcurrency: without(record.provisionedConcurrency, qualifier),
			};
		await this.#oneAtATime.run(() => this.#deps.records.change(name, decide, qualifier));
	}

	/** The version that a version or an alias stands for. NOT_FOUND. */
	#target(name: string, qualifier: string): string {
		const { records } = this.#deps;
		const record = records.find(name);
		if (record && records.version(name, qualifier)) return qualifier;
		const alias = record && own(record.aliases, qualifier);
		if (alias) return alias.version;
		const what = /^\d+$/.test(qualifier) ? "Function not found:" : "Cannot find alias arn:";
		throw new SlipwayError("NOT_FOUND", `${what} ${records.arn(name, qualifier)}`);
	}

	#checkFree(record: FunctionRecord, qualifier: string, executions: number): void {
		const { [qualifier]: before, ...others } = record.provisionedConcurrency;
		if (record.reservedConcurrency !== undefined) {
			if (provisionedTotal({ provisionedConcurrency: others }) + executions > record.reservedConcurrency)
				throw new SlipwayError(
					"INVALID",
					"Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function",
				);
			return;
		}
		const free = this.#unreserved + (before?.requested ?? 0);
		if (executions > free)
			throw new SlipwayError(
				"INVALID",
				`Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [${free}].`,
			);
		if (free - executions < minUnreserved)
			throw new SlipwayError(
				"INVALID",
				`Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [${minUnreserved}].`,
			);
	}

	/** Tells the dispatcher what has changed since it was told last. */
	#apply(name: string): void {
		const { records, serving, provisioning } = this.#deps;
		const record = records.find(name);
		const before = this.#applied.get(name) ?? new Map<string, { revision: FunctionRevision; count: number }>();
		const now = new Map<string, { revision: FunctionRevision; count: number }>();
		for (const [version, count] of record ? totals(record) : []) {
			const revision = serving(name, version);
			if (revision) now.set(version, { revision, count });
		}
		for (const [version, { revision }] of before) if (!now.has(version)) provisioning.provision(revision, 0);
		for (const [version, { revision, count }] of now) {
			const last = before.get(version);
			if (last?.revision !== revision || last.count !== count) provisioning.provision(revision, count);
		}
		if (now.size > 0) this.#applied.set(name, now);
		else this.#applied.delete(name);
	}

	/** What was asked for and how far it has got. A version that has it by two names divides what it has between them. */
	#view(record: FunctionRecord, qualifier: string): ProvisionedView | undefined {
		const config = own(record.provisionedConcurrency, qualifier);
		if (!config) return undefined;
		const all = totals(record);
		const parts = [...provisionedVersions(record, qualifier)].map(([version, count]) => {
			const state = this.#deps.provisioning.provisionedState(record.name, version);
			const share = (of: number) => Math.min(count, Math.floor((of * count) / (all.get(version) ?? count)));
			const { allocated = 0, available = 0, status = "IN_PROGRESS", reason } = state ?? {};
			const isBehind = status === "READY" && share(available) < count;
			return {
				allocated: share(allocated),
				available: share(available),
				status: isBehind ? "IN_PROGRESS" : status,
				reason,
			};
		});
		const isAll = (status: ProvisionedStatus) => parts.every((part) => part.status === status);
		const failed = parts.find((part) => part.status === "FAILED");
		return {
			requested: config.requested,
			allocated: parts.reduce((sum, part) => sum + part.allocated, 0),
			available: parts.reduce((sum, part) => sum + part.available, 0),
			status: failed ? "FAILED" : isAll("READY") ? "READY" : "IN_PROGRESS",
			statusReason: failed?.reason,
			lastModifiedMs: config.lastModifiedMs,
		};
	}
}

/** Of the account's concurrency. What is provisioned is part of what is reserved. */
function taken(record: FunctionRecord | undefined): number {
	if (!record) return 0;
	return record.reservedConcurrency ?? provisionedTotal(record);
}

/** By version, of all configurations together. */
function totals(record: FunctionRecord): Map<string, number> {
	const all = new Map<string, number>();
	for (const qualifier of Object.keys(record.provisionedConcurrency))
		for (const [version, count] of provisionedVersions(record, qualifier))
			all.set(version, (all.get(version) ?? 0) + count);
	return all;
}

function checkOtherNames(record: FunctionRecord, qualifier: string, version: string): void {
	const { provisionedConcurrency, aliases } = record;
	if (qualifier !== version) {
		if (own(provisionedConcurrency, version))
			throw new SlipwayError(
				"CONFLICT",
				"Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
			);
		return;
	}
	const pointing = Object.values(aliases).find(
		(alias) => alias.version === version && own(provisionedConcurrency, alias.name),
	);
	if (pointing) throw new SlipwayError("CONFLICT", "Version is pointed by a Provisioned Concurrency alias");
}

function checkPublished(qualifier: string): void {
	if (qualifier === "" || qualifier === "$LATEST")
		throw new SlipwayError("INVALID", "The function resource provided must be an alias or a published version.");
}

function notReady(): SlipwayError {
	return new SlipwayError(
		"CONFLICT",
		"The operation cannot be performed at this time. The function is currently in the following state: Pending",
	);
}

function tooSmall(value: number, member: string, least: number): SlipwayError {
	return new SlipwayError(
		"INVALID",
		`1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: Member must have value greater than or equal to ${least}`,
		{ reason: "ValidationException" },
	);
}
