import type { LogChange } from "../../core/message-log/message-log.ts";

/** Changes and bytes of one commit: half of what the log takes, and a quarter of what may wait there. */
export const maxCommitChanges = 5_000;
export const maxCommitBytes = 33_554_432;

/** In as few commits as there can be. */
export function* commitsOf<T extends LogChange>(changes: readonly T[]): Generator<T[]> {
	let commit: T[] = [];
	let bytes = 0;
	for (const change of changes) {
		const size = change.change === "append" ? change.body.length : 0;
		if (commit.length > 0 && (commit.length >= maxCommitChanges || bytes + size > maxCommitBytes)) {
			yield commit;
			commit = [];
			bytes = 0;
		}
		commit.push(change);
		bytes += size;
	}
	if (commit.length > 0) yield commit;
}
