import { refuse } from "./oci-error.ts";

/** As many as a store has sessions, and some; past it the oldest is forgotten, which only loosens the check below. */
const maxRemembered = 10_000;

/**
 * Which repository an upload session was begun in, so that it is of no use in another one. A session's id can't be
 * guessed; after a restart it alone is what gives access, together with the right to push.
 */
export class UploadOwners {
	readonly #repositories = new Map<string, string>();

	remember(id: string, repository: string): void {
		this.#repositories.set(id, repository);
		if (this.#repositories.size <= maxRemembered) return;
		for (const oldest of this.#repositories.keys()) {
			this.#repositories.delete(oldest);
			return;
		}
	}

	/** NOT_FOUND with reason "UploadUnknown". */
	check(id: string, repository: string): void {
		const owner = this.#repositories.get(id);
		if (owner !== undefined && owner !== repository) throw refuse("UploadUnknown", "Upload does not exist");
	}

	forget(id: string): void {
		this.#repositories.delete(id);
	}
}
