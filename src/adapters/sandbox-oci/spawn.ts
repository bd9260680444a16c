import type { PosixSpawnInput } from "../../base/posix-spawn.ts";
import type { WaitStatus } from "../../base/syscall.ts";
import type { ChildReaper } from "./child-reaper.ts";
import type { KernelThread } from "./kernel-thread.ts";

export interface SpawnedProgram {
	pid: number;
	/** Never rejects. A status without code and signal is one that somebody else has taken. */
	exited: Promise<WaitStatus>;
}

/**
 * Starts a program on the kernel thread, so that the event loop does not stand still for it, and waits for its end by the
 * reaper. Descriptors must stay open until this resolves. Rejects with the system's own code (ENOENT, EACCES, …) when the
 * program can't be executed. Its end is the caller's to bring about: there is no time limit in here.
 */
export async function spawnProgram(
	thread: KernelThread,
	reaper: ChildReaper,
	program: PosixSpawnInput,
): Promise<SpawnedProgram> {
	const { pid } = await thread.run("spawn", program);
	const { promise: exited, resolve } = Promise.withResolvers<WaitStatus>();
	reaper.watch(pid, resolve);
	return { pid, exited };
}
