import type { Clock } from "../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../base/error.ts";
import type { Ids } from "../base/ids.ts";
import type { Log } from "../base/log.ts";
import type {
	FunctionConfiguration,
	FunctionRecord,
	ImageOverrides,
	RunnableImage,
} from "../core/function/function.ts";
import type { FunctionStore } from "../core/function/function-store.ts";
import type { Digest } from "../core/image/digest.ts";
import type { FunctionRevision } from "../core/invocation/function-contract.ts";
import { applyConfiguration, checkConfiguration, newConfiguration } from "./function-configuration.ts";

export interface CreateFunctionInput {
	name: string;
	role: string;
	imageUri: string;
	architecture?: "x86_64" | "arm64";
	description?: string;
	memoryMiB?: number;
	timeoutS?: number;
	tmpMiB?: number;
	environment?: Record<string, string>;
	imageConfig?: ImageOverrides;
	tracingMode?: "PassThrough" | "Active";
	logFormat?: "Text" | "JSON";
	applicationLogLevel?: string;
	systemLogLevel?: string;
	logGroup?: string;
	tags?: Record<string, string>;
}

export type UpdateConfigurationInput = Partial<
	Omit<CreateFunctionInput, "name" | "imageUri" | "architecture" | "tags">
> & {
	revisionId?: string;
};

export interface UpdateCodeInput {
	imageUri: string;
	architecture?: "x86_64" | "arm64";
	revisionId?: string;
	dryRun?: boolean;
}

export interface ResolvedImage {
	/** `registry/repository@sha256:…` */
	resolvedImageUri: string;
	manifestDigest: Digest;
	image: RunnableImage;
}

export interface PrepareProgress {
	stage: "pull" | "unpack";
	/** Bytes. */
	done: number;
	total: number;
}

/** The part of images that functions need. */
export interface FunctionImages {
	/** Finds the image and checks that it can run here. INVALID_IMAGE, UNAVAILABLE. */
	resolve(imageUri: string, architecture: "x86_64" | "arm64"): Promise<ResolvedImage>;
	/** Everything a sandbox needs is on this machine and unpacked afterwards. Idempotent. */
	prepare(
		imageUri: string,
		architecture: "x86_64" | "arm64",
		options?: { onProgress?: (progress: PrepareProgress) => void },
	): Promise<unknown>;
}

export interface FunctionsDeps {
	store: FunctionStore;
	images: FunctionImages;
	clock: Clock;
	ids: Ids;
	log: Log;
	region: string;
	accountId: string;
	/** The revision that serves has changed, or the function is gone. */
	onRevisionChange: (functionName: string) => void;
	/** A revision has become active: get ready for its first event. */
	onActive: (revision: FunctionRevision) => void;
}

/** The functions of the installation: in memory for reads, in the store before any change is answered. */
export class Functions {
	readonly #deps: FunctionsDeps;
	readonly #records = new Map<string, FunctionRecord>();
	readonly #revisions = new Map<string, FunctionRevision>();
	readonly #progress = new Map<string, PrepareProgress>();
	readonly #changes = new Map<string, Promise<void>>();
	readonly #activations = new Map<string, Promise<void>>();

	private constructor(deps: FunctionsDeps) {
		this.#deps = deps;
	}

	/** Reads the store and takes up again what a stopped daemon had left in progress. */
	static async open(deps: FunctionsDeps): Promise<Functions> {
		const functions = new Functions(deps);
		for (const record of await deps.store.list()) {
			functions.#remember(record);
			if (record.state.state === "Pending" || record.lastUpdate.status === "InProgress") functions.#activate(record);
		}
		return functions;
	}

	/** ALREADY_EXISTS, INVALID, INVALID_IMAGE. The function is Pending and becomes Active or Failed in the background. */
	async create(input: CreateFunctionInput): Promise<FunctionRecord> {
		const { clock, ids, images } = this.#deps;
		this.#refuseExisting(input.name);
		const configuration = newConfiguration(input);
		checkConfiguration(configuration);
		const resolved = await images.resolve(input.imageUri, configuration.architecture);
		const now = clock.now();
		const record: FunctionRecord = {
			name: input.name,
			arn: this.arn(input.name),
			revisionId: ids.uuid(),
			createdMs: now,
			lastModifiedMs: now,
			configuration,
			code: { imageUri: input.imageUri, ...resolved },
			state: { state: "Pending", reason: "The function is being created.", reasonCode: "Creating" },
			lastUpdate: { status: "None" },
			active: undefined,
			tags: input.tags ?? {},
		};
		return this.#exclusive(input.name, async () => {
			this.#refuseExisting(input.name);
			await this.#save(record);
			this.#activate(record);
			return record;
		});
	}

	arn(name: string): string {
		return `arn:aws:lambda:${this.#deps.region}:${this.#deps.accountId}:function:${name}`;
	}

	/** NOT_FOUND. */
	get(name: string): FunctionRecord {
		const record = this.#records.get(name);
		if (!record)
			throw new SlipwayError("NOT_FOUND", `Function not found: ${this.arn(name)}`, {
				hint: "`slipway function ls` lists the functions",
			});
		return record;
	}

	/** By name, those after `after`. */
	list(page: { after?: string; limit: number }): FunctionRecord[] {
		const names = [...this.#records.keys()].sort();
		const from = page.after === undefined ? 0 : names.findIndex((name) => name > (page.after ?? ""));
		return from < 0 ? [] : names.slice(from, from + page.limit).map((name) => this.get(name));
	}

	get count(): number {
		return this.#records.size;
	}

	/** How far the image of a function that is being created or updated has got. */
	progress(name: string): PrepareProgress | undefined {
		return this.#progress.get(name);
	}

	/** Bytes of code in use, each image counted once for each function that runs it. */
	get codeBytes(): number {
		let bytes = 0;
		for (const record of this.#records.values()) bytes += record.code.image?.size ?? 0;
		return bytes;
	}

	/** What may not be collected. */
	*imagesInUse(): Iterable<{ manifestDigest: Digest | undefined; diffIds: Digest[] }> {
		for (const { code, active } of this.#records.values())
			for (const part of active ? [code, active.code] : [code])
				yield { manifestDigest: part.manifestDigest, diffIds: part.image?.diffIds ?? [] };
	}

	/** Names of the functions whose code is this image. */
	runningImage(manifestDigest: string): string[] {
		const runs = ({ code, active }: FunctionRecord) =>
			code.manifestDigest === manifestDigest || active?.code.manifestDigest === manifestDigest;
		return [...this.#records.values()].filter(runs).map(({ name }) => name);
	}

	/** The revision that serves now. NOT_FOUND; CONFLICT while it is being created or could not be. */
	activeRevision(name: string): FunctionRevision {
		const revision = this.#revisions.get(name);
		if (revision) return revision;
		const { state } = this.get(name).state;
		throw new SlipwayError(
			"CONFLICT",
			`The operation cannot be performed at this time. The function is currently in the following state: ${state}`,
			{ reason: state },
		);
	}

	/** NOT_FOUND, CONFLICT during another update, PRECONDITION, INVALID_IMAGE. The old code serves until the new is ready. */
	async updateCode(name: string, input: UpdateCodeInput): Promise<FunctionRecord> {
		const before = this.#updatable(name, input.revisionId);
		const architecture = input.architecture ?? before.configuration.architecture;
		const resolved = await this.#deps.images.resolve(input.imageUri, architecture);
		return this.#exclusive(name, async () => {
			const record = this.#updatable(name, input.revisionId);
			const configuration = { ...record.configuration, architecture };
			const code = { imageUri: input.imageUri, ...resolved };
			return input.dryRun ? { ...record, configuration, code } : this.#update(record, configuration, code);
		});
	}

	/** NOT_FOUND, CONFLICT during another update, PRECONDITION, INVALID. */
	updateConfiguration(name: string, input: UpdateConfigurationInput): Promise<FunctionRecord> {
		return this.#exclusive(name, async () => {
			const record = this.#updatable(name, input.revisionId);
			const configuration = applyConfiguration(record.configuration, input);
			checkConfiguration(configuration);
			return this.#update(record, configuration, record.code);
		});
	}

	/** NOT_FOUND. Events in flight finish. */
	delete(name: string): Promise<void> {
		return this.#exclusive(name, async () => {
			this.get(name);
			await this.#deps.store.delete(name);
			this.#records.delete(name);
			this.#revisions.delete(name);
			this.#deps.onRevisionChange(name);
		});
	}

	/** NOT_FOUND. */
	tag(name: string, tags: Record<string, string>): Promise<void> {
		return this.#exclusive(name, async () => {
			const record = this.get(name);
			await this.#save({ ...record, tags: { ...record.tags, ...tags } });
		});
	}

	/** NOT_FOUND. Keys that are not there do not matter. */
	untag(name: string, keys: readonly string[]): Promise<void> {
		return this.#exclusive(name, async () => {
			const record = this.get(name);
			const tags = Object.fromEntries(Object.entries(record.tags).filter(([key]) => !keys.includes(key)));
			await this.#save({ ...record, tags });
		});
	}

	/** Waits for activations under way; for an orderly end. */
	async settled(): Promise<void> {
		await Promise.all(this.#activations.values());
	}

	#refuseExisting(name: string): void {
		if (this.#records.has(name)) throw new SlipwayError("ALREADY_EXISTS", `Function already exist: ${name}`);
	}

	#updatable(name: string, revisionId: string | undefined): FunctionRecord {
		const record = this.get(name);
		if (revisionId !== undefined && revisionId !== record.revisionId)
			throw new SlipwayError(
				"PRECONDITION",
				"The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
			);
		if (record.state.state === "Pending")
			throw new SlipwayError(
				"CONFLICT",
				"The operation cannot be performed at this time. The function is currently in the following state: Pending",
			);
		if (record.lastUpdate.status === "InProgress")
			throw new SlipwayError(
				"CONFLICT",
				`The operation cannot be performed at this time. An update is in progress for resource: ${record.arn}`,
			);
		return record;
	}

	async #update(
		record: FunctionRecord,
		configuration: FunctionConfiguration,
		code: FunctionRecord["code"],
	): Promise<FunctionRecord> {
		const updated: FunctionRecord = {
			...record,
			configuration,
			code,
			revisionId: this.#deps.ids.uuid(),
			lastModifiedMs: this.#deps.clock.now(),
			// The cloud's own words for an update too (lambda-contract 4.3).
			lastUpdate: { status: "InProgress", reason: "The function is being created.", reasonCode: "Creating" },
		};
		await this.#save(updated);
		this.#activate(updated);
		return updated;
	}

	#activate(record: FunctionRecord): void {
		const activation = this.#prepare(record)
			.catch((error: unknown) =>
				this.#deps.log.error("A function could not be activated", { error, function: record.name }),
			)
			.finally(() => {
				if (this.#activations.get(record.name) === activation) this.#activations.delete(record.name);
				this.#progress.delete(record.name);
			});
		this.#activations.set(record.name, activation);
	}

	async #prepare(record: FunctionRecord): Promise<void> {
		const { name, code, configuration } = record;
		let failure: unknown;
		try {
			await this.#deps.images.prepare(code.resolvedImageUri ?? code.imageUri, configuration.architecture, {
				onProgress: (progress) => this.#progress.set(name, progress),
			});
		} catch (error) {
			failure = error;
		}
		await this.#exclusive(name, async () => {
			// Deleted, or deleted and made anew, while the image was on its way.
			const current = this.#records.get(name);
			if (current?.revisionId !== record.revisionId) return;
			await this.#save(failure === undefined ? this.#activated(current) : this.#failed(current, failure));
			if (failure === undefined) this.#deps.onRevisionChange(name);
		});
		const revision = this.#revisions.get(name);
		if (failure === undefined && revision) this.#deps.onActive(revision);
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

	#failed(record: FunctionRecord, error: unknown): FunctionRecord {
		this.#deps.log.warn("The image of a function could not be made ready", { error, function: record.name });
		const reason = isSlipwayError(error) ? error.message : "Internal error";
		// A layer that is not what its manifest or config says is as wrong as one that breaks the rules.
		const isImage = isSlipwayError(error, "INVALID_IMAGE") || isSlipwayError(error, "DIGEST_MISMATCH");
		const reasonCode = isImage ? "InvalidImage" : "InternalError";
		const failed = { revisionId: this.#deps.ids.uuid(), lastUpdate: { status: "Failed" as const, reason, reasonCode } };
		return record.active
			? { ...record, ...failed }
			: { ...record, ...failed, state: { state: "Failed", reason, reasonCode } };
	}

	/** Changes of one function happen one after the other: each sees what the one before it saved. */
	#exclusive<T>(name: string, change: () => Promise<T>): Promise<T> {
		const done = (this.#changes.get(name) ?? Promise.resolve()).then(change, change);
		const settled = done.then(
			() => {},
			() => {},
		);
		this.#changes.set(name, settled);
		void settled.then(() => {
			if (this.#changes.get(name) === settled) this.#changes.delete(name);
		});
		return done;
	}

	async #save(record: FunctionRecord): Promise<void> {
		await this.#deps.store.put(record);
		this.#remember(record);
	}

	#remember(record: FunctionRecord): void {
		this.#records.set(record.name, record);
		const { active } = record;
		if (!active?.code.image) return;
		const known = this.#revisions.get(record.name);
		if (known?.configuration === active.configuration && known.image === active.code.image) return;
		this.#revisions.set(record.name, {
			name: record.name,
			arn: record.arn,
			version: "$LATEST",
			configuration: active.configuration,
			image: active.code.image,
			id: record.revisionId,
		});
	}
}
