import { type PosixSpawnInput, posixSpawn } from "../../base/posix-spawn.ts";
import type { WaitStatus } from "../../base/syscall.ts";
import type { ChildReaper } from "./child-reaper.ts";

export interface SpawnedProgram {
	pid: number;
	/** Never rejects. A status without code and signal is one that somebody else has taken. */
	exited: Promise<WaitStatus>;
}

/**
 * Starts a program and waits for its end by the reaper. The event loop stands still for some 0.3 ms. Descriptors may be
 * closed when this returns. Throws the system's own code (ENOENT, EACCES, …) when the program can't be executed. Its end is
 * the caller's to bring about: there is no time limit in here.
 */
export function spawnProgram(reaper: ChildReaper, program: PosixSpawnInput): SpawnedProgram {
	const pid = posixSpawn(program);
	const { promise: exited, resolve } = Promise.withResolvers<WaitStatus>();
	reaper.watch(pid, resolve);
	return { pid, exited };
}
