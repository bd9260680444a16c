import ffi from "node:ffi";
import { closeSync, copyFileSync } from "node:fs";
import { failure } from "./syscall.ts";

const i32 = "int32";
const { functions: libc } = ffi.dlopen(null, {
	memfd_create: { return: i32, arguments: ["string", "uint32"] },
	fcntl: { return: i32, arguments: [i32, i32, i32] },
	__errno_location: { return: "pointer", arguments: [] },
});

const MFD_CLOEXEC_ALLOW_SEALING = 1 | 2;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE. */
const EVERY_SEAL = 1 | 2 | 4 | 8;

/**
 * A copy of a file in memory that nobody can change any more, not even root (memfd_create(2), "File sealing"). Returns its
 * descriptor, close-on-exec; as /proc/PID/fd/N it can be executed.
 */
export function sealedCopy(path: string): number {
	const fd = check("memfd_create", libc.memfd_create("sealed", MFD_CLOEXEC_ALLOW_SEALING));
	try {
		copyFileSync(path, `/proc/self/fd/${fd}`);
		check("fcntl", libc.fcntl(fd, F_ADD_SEALS, EVERY_SEAL));
		return fd;
	} catch (error) {
		closeSync(fd);
		throw error;
	}
}

function check(syscall: string, result: number): number {
	if (result < 0) throw failure(syscall, ffi.getInt32(libc.__errno_location(), 0), "");
	return result;
}
