/**
 * posix_spawn(3) through node:ffi, for programs that are started often. Node's own spawn forks: the kernel copies the
 * page tables of the whole process while every thread of it stands still, 5 to 10 ms with 144 MiB in memory. The C library
 * borrows the memory instead, until the program is executed (0.1 ms).
 */

import ffi from "node:ffi";
import { SlipwayError } from "./error.ts";
import { failure } from "./syscall.ts";

const i32 = "int32";
const { functions: libc } = ffi.dlopen(null, {
	posix_spawn: { return: i32, arguments: ["buffer", "string", "buffer", "buffer", "buffer", "buffer"] },
	posix_spawn_file_actions_init: { return: i32, arguments: ["buffer"] },
	posix_spawn_file_actions_adddup2: { return: i32, arguments: ["buffer", i32, i32] },
	posix_spawn_file_actions_addopen: { return: i32, arguments: ["buffer", i32, "string", i32, "uint32"] },
	posix_spawn_file_actions_destroy: { return: i32, arguments: ["buffer"] },
	posix_spawnattr_init: { return: i32, arguments: ["buffer"] },
	posix_spawnattr_setflags: { return: i32, arguments: ["buffer", "int16"] },
	posix_spawnattr_setsigdefault: { return: i32, arguments: ["buffer", "buffer"] },
	posix_spawnattr_setsigmask: { return: i32, arguments: ["buffer", "buffer"] },
	fcntl: { return: i32, arguments: [i32, i32, i32] },
	close: { return: i32, arguments: [i32] },
	__errno_location: { return: "pointer", arguments: [] },
});

/** Of glibc since 2.34; other C libraries have none. */
const addCloseFrom = (() => {
	try {
		return ffi.dlopen(null, {
			posix_spawn_file_actions_addclosefrom_np: { return: i32, arguments: ["buffer", i32] },
		}).functions.posix_spawn_file_actions_addclosefrom_np;
	} catch {
		return undefined;
	}
})();

/** More than the 80 bytes of glibc's posix_spawn_file_actions_t, and of musl's. */
const FILE_ACTIONS_BYTES = 256;
/** More than the 336 bytes of glibc's posix_spawnattr_t, and of musl's. */
const ATTRIBUTES_BYTES = 512;
/** sigset_t, of both. */
const SIGNAL_SET_BYTES = 128;
const POINTER_BYTES = 8;
const O_RDWR = 2;

export interface PosixSpawnInput {
	/** Of the program: no search in PATH. */
	path: string;
	/** What it is told that it is called; its path when left out. */
	name?: string;
	/** After the program's name. */
	args: readonly string[];
	/** All of its environment. */
	env: Readonly<Record<string, string>>;
	/** What its descriptors 0, 1, … are; "ignore" is /dev/null. It has no others: Node opens every one close-on-exec. */
	fds: readonly (number | "ignore")[];
}

/**
 * Starts a program from the calling thread, in that thread's namespaces, with every signal as it is by default. Returns
 * its process id, of a child that nobody waits for yet. Throws the system's own code when it can't be executed.
 */
export function posixSpawn({ path, name = path, args, env, fds }: PosixSpawnInput): number {
	const argv = stringArray([name, ...args]);
	const envp = stringArray(Object.entries(env).map(([name, value]) => `${name}=${value}`));
	const pid = Buffer.alloc(4);
	const actions = Buffer.alloc(FILE_ACTIONS_BYTES);
	const moved: number[] = [];
	must("posix_spawn_file_actions_init", libc.posix_spawn_file_actions_init(actions));
	try {
		addDescriptors(actions, fds, moved);
		must("posix_spawn", libc.posix_spawn(pid, path, actions, ATTRIBUTES, argv, envp), path);
	} finally {
		for (const fd of moved) libc.close(fd);
		libc.posix_spawn_file_actions_destroy(actions);
	}
	return pid.readInt32LE(0);
}

/** A handler of ours goes with exec; what Node ignores (SIGPIPE), or a thread blocks, would stay. */
const ATTRIBUTES = (() => {
	const POSIX_SPAWN_SETSIGDEF = 4;
	const POSIX_SPAWN_SETSIGMASK = 8;
	const attributes = Buffer.alloc(ATTRIBUTES_BYTES);
	// sigfillset would leave out glibc's own two signals, which posix_spawn then has ignored.
	const all = Buffer.alloc(SIGNAL_SET_BYTES, 0xff);
	must("posix_spawnattr_init", libc.posix_spawnattr_init(attributes));
	must("posix_spawnattr_setsigdefault", libc.posix_spawnattr_setsigdefault(attributes, all));
	must("posix_spawnattr_setsigmask", libc.posix_spawnattr_setsigmask(attributes, Buffer.alloc(SIGNAL_SET_BYTES)));
	const flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
	must("posix_spawnattr_setflags", libc.posix_spawnattr_setflags(attributes, flags));
	return attributes;
})();

function addDescriptors(actions: Buffer, fds: PosixSpawnInput["fds"], moved: number[]): void {
	for (const [target, fd] of fds.entries()) {
		if (fd === "ignore") {
			const result = libc.posix_spawn_file_actions_addopen(actions, target, "/dev/null", O_RDWR, 0);
			must("posix_spawn_file_actions_addopen", result);
			continue;
		}
		let source = fd;
		// One that is a target as well would be overwritten before its turn.
		if (fd < fds.length && fd !== target) {
			source = duplicateAbove(fds.length, fd);
			moved.push(source);
		}
		must("posix_spawn_file_actions_adddup2", libc.posix_spawn_file_actions_adddup2(actions, source, target));
	}
	if (addCloseFrom) must("posix_spawn_file_actions_addclosefrom_np", addCloseFrom(actions, fds.length));
}

function duplicateAbove(lowest: number, fd: number): number {
	const F_DUPFD_CLOEXEC = 1030;
	const duplicate = libc.fcntl(fd, F_DUPFD_CLOEXEC, lowest);
	if (duplicate < 0) throw failure("fcntl", ffi.getInt32(libc.__errno_location(), 0), `descriptor ${fd}`);
	return duplicate;
}

/** These functions return the error's number. */
function must(what: string, result: number, detail = ""): void {
	if (result !== 0) throw failure(what, result, detail);
}

/** char *[], with the strings behind the pointers in one piece of memory that lives as long as the array does. */
function stringArray(strings: readonly string[]): Buffer {
	const bad = strings.find((text) => text.includes("\0"));
	if (bad !== undefined)
		throw new SlipwayError("INVALID", `A program's argument has a NUL in it: ${JSON.stringify(bad)}`);
	const bytes = strings.map((text) => Buffer.from(`${text}\0`));
	const array = Buffer.concat([Buffer.alloc((strings.length + 1) * POINTER_BYTES), ...bytes]);
	let address = ffi.getRawPointer(array) + BigInt((strings.length + 1) * POINTER_BYTES);
	for (const [at, { length }] of bytes.entries()) {
		array.writeBigUInt64LE(address, at * POINTER_BYTES);
		address += BigInt(length);
	}
	return array;
}
