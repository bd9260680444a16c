import { SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { FunctionAlias, FunctionState, FunctionVersion } from "../../core/function/function.ts";
import type { FunctionRevision } from "../../core/invocation/function-contract.ts";
import { type FunctionRecords, own } from "./records.ts";

export interface FunctionRevisionsDeps {
	records: FunctionRecords;
	ids: Pick<Ids, "uuid">;
	/** From 0 up to 1, for the weights of aliases. */
	random: () => number;
	/** A revision serves no more: $LATEST has another, its version was deleted, or its image is gone. */
	onEnd: (functionName: string, ended: FunctionRevision) => void;
}

/**
 * What serves each version of each function now. A revision is the same object, with the same id, for as long as its
 * version runs the same image with the same configuration; tags, policies and aliases do not touch it.
 */
export class FunctionRevisions {
	readonly #deps: FunctionRevisionsDeps;
	/** By function, then by version. */
	readonly #known = new Map<string, Map<string, FunctionRevision>>();

	constructor(deps: FunctionRevisionsDeps) {
		this.#deps = deps;
		for (const { name } of deps.records.all()) this.#refresh(name);
		deps.records.onChange((name) => this.#refresh(name));
	}

	/**
	 * Of $LATEST (undefined too), a version, or an alias: there the weights choose, anew at each call. NOT_FOUND with the
	 * function's qualified ARN (lambda-contract 4.2); CONFLICT while its image is not ready or could not be made so.
	 */
	revision(name: string, qualifier = "$LATEST"): FunctionRevision {
		const { records, random } = this.#deps;
		const record = records.get(name, qualifier);
		const alias = own(record.aliases, qualifier);
		const version = alias ? choose(alias, random) : qualifier;
		const state = version === "$LATEST" ? record.state : records.version(name, version)?.state;
		if (!state) throw new SlipwayError("NOT_FOUND", `Function not found: ${records.arn(name, qualifier)}`);
		const known = this.#known.get(name)?.get(version);
		if (known) return known;
		throw notServing(state);
	}

	/** Without the states' checks: undefined when nothing serves. */
	find(name: string, version: string): FunctionRevision | undefined {
		return this.#known.get(name)?.get(version);
	}

	#refresh(name: string): void {
		const before = this.#known.get(name) ?? new Map<string, FunctionRevision>();
		const now = new Map<string, FunctionRevision>();
		for (const serving of this.#serving(name)) {
			const { version, configuration, image } = serving;
			const known = before.get(version);
			const isSame = known?.configuration === configuration && known.image === image;
			now.set(version, isSame ? known : { ...serving, id: this.#deps.ids.uuid() });
		}
		if (now.size > 0) this.#known.set(name, now);
		else this.#known.delete(name);
		for (const [version, revision] of before) if (now.get(version) !== revision) this.#deps.onEnd(name, revision);
	}

	*#serving(name: string): Iterable<Omit<FunctionRevision, "id">> {
		const { records } = this.#deps;
		const record = records.find(name);
		if (!record) return;
		const { arn, active } = record;
		if (record.state.state === "Active" && active?.code.image)
			yield { name, arn, version: "$LATEST", configuration: active.configuration, image: active.code.image };
		for (const { version, configuration, code, state } of records.versions(name))
			if (state.state === "Active" && code.image) yield { name, arn, version, configuration, image: code.image };
	}
}

function choose({ version, routing }: FunctionAlias, random: () => number): FunctionVersion["version"] {
	return routing && random() < routing.weight ? routing.version : version;
}

/** lambda-contract 4.2: the state's words, and the images' own error names. */
function notServing(state: FunctionState): SlipwayError {
	const message = `The operation cannot be performed at this time. The function is currently in the following state: ${state.state}`;
	if (state.state !== "Failed") return new SlipwayError("CONFLICT", message, { reason: state.state });
	const reason =
		state.reasonCode === "ImageDeleted" ? "CodeArtifactUserDeletedException" : "CodeArtifactUserFailedException";
	return new SlipwayError("CONFLICT", message, { reason, hint: state.reason });
}
