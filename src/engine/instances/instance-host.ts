import { SlipwayError } from "../../base/error.ts";
import type { Instance, InstanceHost, InstanceOptions } from "../../core/workload/instance.ts";
import { readImageFile } from "./container-user.ts";
import { type InstanceDeps, SandboxInstance } from "./sandbox-instance.ts";

export type InstanceHostDeps = Omit<InstanceDeps, "readImageFile" | "restoreImage" | "egress"> &
	Partial<Pick<InstanceDeps, "readImageFile" | "restoreImage" | "egress">>;

/** Ids of sandboxes have 40 characters at most, of which those beside the first use two more for their number. */
const idPattern = /^[a-z0-9-]{1,37}$/;

/** Runs workloads in sandboxes. Disposing stops what runs, at once. */
export class SandboxInstanceHost implements InstanceHost, AsyncDisposable {
	readonly #deps: InstanceDeps;
	readonly #running = new Map<string, Instance>();

	constructor(deps: InstanceHostDeps) {
		this.#deps = { readImageFile, restoreImage: noRestore, egress: true, ...deps };
	}

	/** INVALID for an id that is not `[a-z0-9-]{1,37}`, ALREADY_EXISTS for one that runs. */
	start(options: InstanceOptions): Instance {
		if (!idPattern.test(options.id))
			throw new SlipwayError("INVALID", `Instance id "${options.id}" does not match ${idPattern}`);
		if (this.#running.has(options.id))
			throw new SlipwayError("ALREADY_EXISTS", `There is an instance ${options.id} already`);
		// Where one is started others follow: from now on what they are made of stands ready.
		this.#deps.runtime.prepare({ egress: options.workload.egress && this.#deps.egress });
		const instance = new SandboxInstance(this.#deps, options);
		this.#running.set(options.id, instance);
		void instance.ended.then(() => this.#running.delete(options.id));
		return instance;
	}

	get running(): Instance[] {
		return [...this.#running.values()];
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.all(this.running.map((instance) => instance.stop(0)));
	}
}

async function noRestore(): Promise<void> {}
