import type { Clock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { FunctionCode, FunctionConfiguration, FunctionRecord } from "../../core/function/function.ts";
import type { FunctionStore } from "../../core/function/function-store.ts";
import { automaticSpares, maxSparesPerFunction, type SpareSetting } from "../../core/function/spare-setting.ts";
import type { Digest } from "../../core/image/digest.ts";
import type { FunctionRevision } from "../../core/invocation/function-contract.ts";
import { FunctionActivations } from "./activations.ts";
import { applyConfiguration, checkConfiguration, newConfiguration } from "./configuration.ts";
import type { FunctionImages, PrepareProgress } from "./function-images.ts";
import type { CreateFunctionInput, UpdateCodeInput, UpdateConfigurationInput } from "./inputs.ts";
import { checkRoomForVersion, publishNext, unchangedVersion } from "./publishing.ts";
import { FunctionRecords, type RecordChange } from "./records.ts";
import { FunctionRevisions } from "./revisions.ts";
import { checkRevisionId, checkSettled, creating } from "./states.ts";

export type { CreateFunctionInput, UpdateCodeInput, UpdateConfigurationInput } from "./inputs.ts";

export interface FunctionsDeps {
	store: FunctionStore;
	images: FunctionImages;
	clock: Clock;
	ids: Ids;
	log: Log;
	region: string;
	accountId: string;
	/** From 0 up to 1, for the weights of aliases. */
	random?: () => number;
	/** A revision serves no more: $LATEST has another, its version was deleted, or its image is gone. */
	onRevisionChange: (functionName: string, ended: FunctionRevision) => void;
	/** It is gone, and with it everything that belongs to it. */
	onDeleted?: (functionName: string) => void;
	/** A revision has become active: get ready for its first event. */
	onActive: (revision: FunctionRevision) => void;
}

/** Of a function (lambda-contract 4.4). */
const maxTags = 50;

/**
 * The functions of the installation: what their owners configure, and the way from there to a revision that serves.
 * What belongs to a function besides (versions, aliases, policies, concurrency, URLs) has classes of its own, which
 * change the same `records`.
 */
export class Functions {
	readonly records: FunctionRecords;
	readonly #deps: FunctionsDeps;
	readonly #revisions: FunctionRevisions;
	readonly #activations: FunctionActivations;

	private constructor(deps: FunctionsDeps, records: FunctionRecords) {
		const { ids, images, log, random = Math.random, onRevisionChange } = deps;
		this.#deps = deps;
		this.records = records;
		this.#revisions = new FunctionRevisions({ records, ids, random, onEnd: onRevisionChange });
		const onActive = (name: string, version: string) => {
			const revision = this.#revisions.find(name, version);
			if (revision) deps.onActive(revision);
		};
		this.#activations = new FunctionActivations({ records, images, ids, log, onActive });
		for (const record of records.all()) this.#activations.takeUp(record);
	}

	/** Reads the store and takes up again what a stopped daemon had left in progress. */
	static async open(deps: FunctionsDeps): Promise<Functions> {
		const arnPrefix = `arn:aws:lambda:${deps.region}:${deps.accountId}:function:`;
		return new Functions(deps, await FunctionRecords.open(deps.store, arnPrefix));
	}

	/** ALREADY_EXISTS, INVALID, INVALID_IMAGE. The function is Pending and becomes Active or Failed in the background. */
	async create(input: CreateFunctionInput): Promise<FunctionRecord> {
		this.records.refuseExisting(input.name);
		const configuration = newConfiguration(input);
		checkConfiguration(configuration);
		const resolved = await this.#deps.images.resolve(input.imageUri, configuration.architecture);
		const { ids } = this.#deps;
		const created = await this.records.add(input.name, (): RecordChange => {
			const record = this.#newRecord(input, configuration, { imageUri: input.imageUri, ...resolved });
			return input.publish ? publishNext(record, { state: creating, ids }) : { record };
		});
		this.#activations.startLatest(created);
		return created;
	}

	arn(name: string): string {
		return this.records.arn(name);
	}

	/** NOT_FOUND. Whoever waits for a function asks again and again: an activation that got lost is taken up by that. */
	get(name: string): FunctionRecord {
		const record = this.records.get(name);
		this.#activations.takeUp(record);
		return record;
	}

	/** By name, those after `after`. */
	list(page: { after?: string; limit: number }): FunctionRecord[] {
		const names = this.records.names();
		const from = page.after === undefined ? 0 : names.findIndex((name) => name > (page.after ?? ""));
		return from < 0 ? [] : names.slice(from, from + page.limit).map((name) => this.records.get(name));
	}

	get count(): number {
		return this.records.count;
	}

	/** How far the image of a function that is being created or updated has got. */
	progress(name: string): PrepareProgress | undefined {
		return this.#activations.progress(name);
	}

	/** Bytes of code in use, each image counted once for each function or version that runs it. */
	get codeBytes(): number {
		let bytes = 0;
		for (const record of this.records.all()) {
			bytes += record.code.image?.size ?? 0;
			for (const version of this.records.versions(record.name)) bytes += version.code.image?.size ?? 0;
		}
		return bytes;
	}

	/** What may not be collected. */
	*imagesInUse(): Iterable<{ manifestDigest: Digest | undefined; diffIds: Digest[] }> {
		for (const record of this.records.all())
			for (const { manifestDigest, image } of this.#codes(record))
				yield { manifestDigest, diffIds: image?.diffIds ?? [] };
	}

	/** Names of the functions whose code, or a version's, is this image. */
	runningImage(manifestDigest: string): string[] {
		const names: string[] = [];
		for (const record of this.records.all())
			for (const code of this.#codes(record))
				if (code.manifestDigest === manifestDigest) {
					names.push(record.name);
					break;
				}
		return names;
	}

	/**
	 * What serves $LATEST (undefined too), a version, or an alias, whose weights choose anew at each call. NOT_FOUND with
	 * the qualified ARN; CONFLICT while its image is not ready or could not be made so (lambda-contract 4.2).
	 */
	revision(name: string, qualifier?: string): FunctionRevision {
		return this.#revisions.revision(name, qualifier);
	}

	/** What serves $LATEST or a version; undefined while nothing does. */
	serving(name: string, version: string): FunctionRevision | undefined {
		return this.#revisions.find(name, version);
	}

	/**
	 * To be called when a start finds the files of a revision's image gone. The function is Pending while they are brought
	 * back from the registry, and Failed (ImageDeleted) when they are not there either.
	 */
	async codeGone({ name, version, id }: FunctionRevision): Promise<void> {
		const state = { state: "Pending", reason: "The function is being restored.", reasonCode: "Restoring" } as const;
		let restore: (() => void) | undefined;
		await this.records.changeExisting(name, (record) => {
			if (this.#revisions.find(name, version)?.id !== id || record.lastUpdate.status === "InProgress") return undefined;
			const published = this.records.version(name, version);
			if (published) {
				const restoring = { ...published, state };
				restore = () => this.#activations.restoreVersion(restoring);
				return { record, version: restoring };
			}
			const restoring = { ...record, state, revisionId: this.#deps.ids.uuid() };
			restore = () => this.#activations.restoreLatest(restoring);
			return { record: restoring };
		});
		restore?.();
	}

	/** NOT_FOUND, CONFLICT during another update, PRECONDITION, INVALID_IMAGE. The old code serves until the new is ready. */
	async updateCode(name: string, input: UpdateCodeInput): Promise<FunctionRecord> {
		const { revisionId, imageUri } = input;
		const before = updatable(this.get(name), revisionId);
		const architecture = input.architecture ?? before.configuration.architecture;
		const resolved = await this.#deps.images.resolve(imageUri, architecture);
		const next = (record: FunctionRecord) => {
			const { configuration } = updatable(record, revisionId);
			const isSame = configuration.architecture === architecture;
			const parts = { configuration: isSame ? configuration : { ...configuration, architecture } };
			return { ...record, ...parts, code: { imageUri, ...resolved } };
		};
		return input.dryRun ? next(this.get(name)) : this.#update(name, next, input.publish);
	}

	/** NOT_FOUND, CONFLICT during another update, PRECONDITION, INVALID. */
	updateConfiguration(name: string, input: UpdateConfigurationInput): Promise<FunctionRecord> {
		return this.#update(name, (record) => {
			const configuration = applyConfiguration(updatable(record, input.revisionId).configuration, input);
			checkConfiguration(configuration);
			return { ...record, configuration };
		});
	}

	/** With everything that belongs to it. NOT_FOUND. Events in flight finish. */
	async delete(name: string): Promise<void> {
		await this.records.delete(name);
		this.#deps.onDeleted?.(name);
	}

	/** NOT_FOUND, INVALID past 50. Tags are part of what a revision id stands for (lambda-contract 4.3), not of what the sandboxes run. */
	async tag(name: string, tags: Record<string, string>): Promise<void> {
		const revisionId = this.#deps.ids.uuid();
		await this.records.change(name, (record) => {
			const all = { ...record.tags, ...tags };
			if (Object.keys(all).length > maxTags)
				throw new SlipwayError("INVALID", "Number of tags exceeds resource tag limit.");
			return { ...record, revisionId, tags: all };
		});
	}

	/** NOT_FOUND. Keys that are not there do not matter. */
	async untag(name: string, keys: readonly string[]): Promise<void> {
		const revisionId = this.#deps.ids.uuid();
		await this.records.change(name, (record) => {
			const tags = Object.fromEntries(Object.entries(record.tags).filter(([key]) => !keys.includes(key)));
			return { ...record, revisionId, tags };
		});
	}

	/** NOT_FOUND. */
	async setRecursiveLoop(name: string, recursiveLoop: FunctionRecord["recursiveLoop"]): Promise<void> {
		await this.records.change(name, (record) => ({ ...record, recursiveLoop }));
	}

	/** What is given changes. No revision changes with it: sandboxes that run stay. NOT_FOUND, INVALID. */
	async setSpares(name: string, change: Partial<SpareSetting>): Promise<FunctionRecord> {
		for (const [kind, count] of Object.entries(change))
			if (count !== "auto" && !(Number.isInteger(count) && count >= 0 && count <= maxSparesPerFunction))
				throw new SlipwayError(
					"INVALID",
					`${kind} is '${count}'; it must be a whole number from 0 to ${maxSparesPerFunction}, or auto`,
				);
		return this.records.change(name, (record) => ({ ...record, spares: { ...record.spares, ...change } }));
	}

	/** For the dispatcher: of a function that may be gone by now. */
	spareSetting(name: string): SpareSetting {
		return this.records.find(name)?.spares ?? automaticSpares;
	}

	/** Waits for activations under way; for an orderly end. */
	settled(): Promise<void> {
		return this.#activations.settled();
	}

	*#codes(record: FunctionRecord): Iterable<FunctionCode> {
		yield record.code;
		if (record.active) yield record.active.code;
		for (const { code } of this.records.versions(record.name)) yield code;
	}

	#newRecord(input: CreateFunctionInput, configuration: FunctionConfiguration, code: FunctionCode): FunctionRecord {
		const now = this.#deps.clock.now();
		return {
			name: input.name,
			arn: this.arn(input.name),
			revisionId: this.#deps.ids.uuid(),
			createdMs: now,
			lastModifiedMs: now,
			configuration,
			code,
			state: creating,
			lastUpdate: { status: "None" },
			active: undefined,
			tags: input.tags ?? {},
			nextVersion: this.records.firstVersion(input.name),
			aliases: {},
			policies: {},
			reservedConcurrency: undefined,
			provisionedConcurrency: {},
			urls: {},
			recursiveLoop: "Terminate",
			spares: automaticSpares,
		};
	}

	async #update(
		name: string,
		next: (record: FunctionRecord) => FunctionRecord,
		publish = false,
	): Promise<FunctionRecord> {
		const { clock, ids } = this.#deps;
		const updated = await this.records.change(name, (record) => {
			const changed: FunctionRecord = {
				...next(record),
				revisionId: ids.uuid(),
				lastModifiedMs: clock.now(),
				// The cloud's own words for an update too (lambda-contract 4.3).
				lastUpdate: { status: "InProgress", reason: "The function is being created.", reasonCode: "Creating" },
			};
			if (!publish || unchangedVersion(this.records, changed)) return changed;
			checkRoomForVersion(this.records, name);
			return publishNext(changed, { state: creating, ids });
		});
		this.#activations.startLatest(updated);
		return updated;
	}
}

function updatable(record: FunctionRecord, revisionId: string | undefined): FunctionRecord {
	checkRevisionId(revisionId, record.revisionId);
	checkSettled(record);
	return record;
}
