import { isSlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type {
	FunctionCode,
	FunctionConfiguration,
	FunctionRecord,
	FunctionVersion,
} from "../../core/function/function.ts";
import type { FunctionImages, PrepareProgress } from "./function-images.ts";
import type { FunctionRecords, RecordChange } from "./records.ts";

export interface FunctionActivationsDeps {
	records: FunctionRecords;
	images: Pick<FunctionImages, "prepare">;
	ids: Pick<Ids, "uuid">;
	log: Log;
	/** $LATEST or a version has just become active. */
	onActive: (name: string, version: string) => void;
}

type Part = { code: FunctionCode; configuration: FunctionConfiguration };

/** Makes images ready in the background: of new functions and new code, and of those whose files are gone. */
export class FunctionActivations {
	readonly #deps: FunctionActivationsDeps;
	readonly #progress = new Map<string, PrepareProgress>();
	/** By function and version: one of another image or configuration takes its place. */
	readonly #running = new Map<string, { part: Part; done: Promise<void> }>();

	constructor(deps: FunctionActivationsDeps) {
		this.#deps = deps;
	}

	/**
	 * Takes up what is in progress and nobody works on: a stopped daemon left it, or the write at its end failed (a full
	 * disk). Nothing happens twice.
	 */
	takeUp(record: FunctionRecord): void {
		if (isRestoring(record)) this.restoreLatest(record);
		else if (record.state.state === "Pending" || record.lastUpdate.status === "InProgress") this.startLatest(record);
		for (const version of this.#deps.records.versions(record.name))
			if (isRestoring(version)) this.restoreVersion(version);
	}

	/** $LATEST, and the version that was published together with it. */
	startLatest(record: FunctionRecord): void {
		this.#start(record.name, "$LATEST", record, (failure) => this.#finishLatest(record, failure));
	}

	/** The record says that it is being restored. */
	restoreLatest(record: FunctionRecord): void {
		const { active, name } = record;
		if (active) this.#start(name, "$LATEST", active, (failure) => this.#finishRestored(name, failure));
	}

	/** The version says that it is being restored. */
	restoreVersion(version: FunctionVersion): void {
		const { functionName } = version;
		this.#start(functionName, version.version, version, (failure) => this.#finishVersion(version, failure));
	}

	progress(name: string): PrepareProgress | undefined {
		return this.#progress.get(name);
	}

	async settled(): Promise<void> {
		await Promise.all([...this.#running.values()].map(({ done }) => done));
	}

	#start(name: string, version: string, part: Part, finish: (failure: unknown) => Promise<void>): void {
		const key = `${name}:${version}`;
		const running = this.#running.get(key)?.part;
		if (running?.code === part.code && running.configuration === part.configuration) return;
		const done = this.#prepare(name, part)
			.then(finish)
			.catch((error: unknown) =>
				this.#deps.log.error("A function could not be activated", { error, function: name, version }),
			)
			.finally(() => {
				if (this.#running.get(key)?.done === done) this.#running.delete(key);
				this.#progress.delete(name);
			});
		this.#running.set(key, { part, done });
	}

	/** Resolves to what went wrong. */
	async #prepare(name: string, { code, configuration }: Part): Promise<unknown> {
		const onProgress = (progress: PrepareProgress) => this.#progress.set(name, progress);
		try {
			const source = code.resolvedImageUri ?? code.imageUri;
			await this.#deps.images.prepare(source, configuration.architecture, { onProgress });
			return undefined;
		} catch (error) {
			this.#deps.log.warn("The image of a function could not be made ready", { error, function: name });
			return error ?? new Error("The image could not be made ready");
		}
	}

	async #finishLatest(started: FunctionRecord, failure: unknown): Promise<void> {
		const { records } = this.#deps;
		const { name } = started;
		let published: FunctionVersion | undefined;
		let isCurrent = false;
		await records.changeExisting(name, (record) => {
			// Deleted and made anew, while the image was on its way.
			isCurrent = record.code === started.code && record.configuration === started.configuration;
			if (!isCurrent) return undefined;
			published = [...records.versions(name)].find(
				({ state }) => state.state === "Pending" && state.reasonCode === "Creating",
			);
			const change: RecordChange = {
				record: failure === undefined ? this.#activated(record) : this.#failed(record, failure),
			};
			if (published) change.version = { ...published, state: stateAfter(failure) };
			return change;
		});
		if (!isCurrent || failure !== undefined) return;
		this.#deps.onActive(name, "$LATEST");
		if (published) this.#deps.onActive(name, published.version);
	}

	async #finishRestored(name: string, failure: unknown): Promise<void> {
		let isCurrent = false;
		await this.#deps.records.changeExisting(name, (record) => {
			isCurrent = isRestoring(record);
			if (!isCurrent) return undefined;
			return { record: { ...record, revisionId: this.#deps.ids.uuid(), state: stateAfter(failure) } };
		});
		if (isCurrent && failure === undefined) this.#deps.onActive(name, "$LATEST");
	}

	async #finishVersion({ functionName, version }: FunctionVersion, failure: unknown): Promise<void> {
		const { records } = this.#deps;
		let isCurrent = false;
		await records.changeExisting(functionName, (record) => {
			const current = records.version(functionName, version);
			isCurrent = current !== undefined && isRestoring(current);
			return current && isCurrent ? { record, version: { ...current, state: stateAfter(failure) } } : undefined;
		});
		if (isCurrent && failure === undefined) this.#deps.onActive(functionName, version);
	}

	#activated(record: FunctionRecord): FunctionRecord {
		return {
			...record,
			revisionId: this.#deps.ids.uuid(),
			state: { state: "Active" },
			lastUpdate: { status: "Successful" },
			active: { configuration: record.configuration, code: record.code },
		};
	}

	#failed(record: FunctionRecord, failure: unknown): FunctionRecord {
		const { reason, reasonCode } = describeFailure(failure);
		const failed = { ...record, revisionId: this.#deps.ids.uuid() };
		// While an update is on its way the old code serves, and goes on when it fails.
		if (record.active && record.state.state === "Active")
			return { ...failed, lastUpdate: { status: "Failed", reason, reasonCode } };
		return {
			...failed,
			state: { state: "Failed", reason, reasonCode },
			lastUpdate: { status: "Failed", reason, reasonCode },
		};
	}
}

function isRestoring({ state }: Pick<FunctionVersion, "state">): boolean {
	return state.state === "Pending" && state.reasonCode === "Restoring";
}

function stateAfter(failure: unknown): FunctionVersion["state"] {
	return failure === undefined ? { state: "Active" } : { state: "Failed", ...describeFailure(failure) };
}

/** Reason codes: lambda-contract 4.3. */
function describeFailure(failure: unknown): { reason: string; reasonCode: string } {
	if (!isSlipwayError(failure)) return { reason: "Internal error", reasonCode: "InternalError" };
	const { code, reason, message } = failure;
	// It was there when it was resolved.
	if (reason === "ImageNotFound" || reason === "BlobNotFound") return { reason: message, reasonCode: "ImageDeleted" };
	if (code === "FORBIDDEN" || code === "UNAUTHENTICATED") return { reason: message, reasonCode: "ImageAccessDenied" };
	// A layer that is not what its manifest or config says is as wrong as one that breaks the rules.
	const isImage = code === "INVALID_IMAGE" || code === "DIGEST_MISMATCH";
	return { reason: message, reasonCode: isImage ? "InvalidImage" : "InternalError" };
}
