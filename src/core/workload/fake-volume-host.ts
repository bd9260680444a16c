import { SlipwayError } from "../../base/error.ts";
import type { Volume, VolumeHost } from "./volume-host.ts";

/** Volumes that are names only, for tests of what is above the port. */
export class FakeVolumeHost implements VolumeHost {
	/** Paths of those that were made and not disposed. */
	readonly held = new Set<string>();

	emptyDir(id: string, sizeMiB: number): Promise<Volume> {
		return this.#volume(`/fake/volumes/${id}-${sizeMiB}`);
	}

	files(id: string, _files: Readonly<Record<string, string>>, _mode: number): Promise<Volume> {
		return this.#volume(`/fake/volumes/${id}`);
	}

	persistent(claim: string): Promise<Volume> {
		return this.#volume(`/fake/claims/${claim}`);
	}

	async #volume(path: string): Promise<Volume> {
		this.held.add(path);
		return {
			path,
			ensure: async (subPath) => {
				if (subPath.split("/").includes(".."))
					throw new SlipwayError("INVALID", `Path "${subPath}" leads out of its volume`);
			},
			[Symbol.asyncDispose]: async () => void this.held.delete(path),
		};
	}
}
