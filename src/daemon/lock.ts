/** One process owns a home folder. The kernel lets the lock go with the process, however it ends. */
import { closeSync, constants, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fromSystemError, SlipwayError, systemCode } from "../base/error.ts";
import { tryLock } from "../base/syscall.ts";
import { type LockRecord, lockFile } from "../client/local.ts";

export interface Lock extends Disposable {
	/** Rewrites the record that `slipway status` reads. */
	update(record: LockRecord): void;
}

/**
 * Makes the folder (0700) if need be and takes its lock. CONFLICT with the owner's process id and address when another
 * daemon holds it, FORBIDDEN when the folder can't be written, EXHAUSTED when the disk is full.
 */
export function takeLock(home: string, record: LockRecord): Lock {
	const path = join(home, lockFile);
	const fd = openLockFile(home, path);
	try {
		if (!tryLock(fd)) throw owned(home, path);
		write(fd, record, path);
	} catch (error) {
		closeSync(fd);
		throw error;
	}
	return {
		update: (next) => write(fd, next, path),
		// The file stays: removing it would let a third process lock a new file beside one that still waits for the old.
		[Symbol.dispose]() {
			ftruncateSync(fd, 0);
			closeSync(fd);
		},
	};
}

function openLockFile(home: string, path: string): number {
	try {
		mkdirSync(home, { recursive: true, mode: 0o700 });
		return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
	} catch (error) {
		const code = systemCode(error);
		if (code === "EACCES" || code === "EPERM" || code === "EROFS")
			throw new SlipwayError("FORBIDDEN", `The home folder '${home}' can't be written: ${(error as Error).message}`, {
				hint: "Run as the user that owns it, or choose another with --home FOLDER (SLIPWAY_HOME)",
				cause: error,
			});
		if (code === "ENOTDIR" || code === "EEXIST" || code === "ELOOP" || code === "EISDIR")
			throw new SlipwayError(
				"INVALID",
				`The home '${home}' is not a folder that can be used: ${(error as Error).message}`,
				{
					hint: "Choose another with --home FOLDER (SLIPWAY_HOME)",
					cause: error,
				},
			);
		throw fromSystemError(error, `making the home folder '${home}'`);
	}
}

function write(fd: number, record: LockRecord, path: string): void {
	try {
		const text = Buffer.from(`${JSON.stringify(record)}\n`);
		writeSync(fd, text, 0, text.length, 0);
		ftruncateSync(fd, text.length);
	} catch (error) {
		throw fromSystemError(error, `writing ${path}`);
	}
}

function owned(home: string, path: string): SlipwayError {
	let owner = "another process";
	try {
		const { pid, address } = JSON.parse(readFileSync(path, "utf8")) as LockRecord;
		owner = `process ${pid}, on ${address}`;
	} catch (error) {
		if (!(error instanceof SyntaxError)) throw error; // The owner is between taking the lock and writing its record.
	}
	return new SlipwayError("CONFLICT", `Another daemon already owns '${home}': ${owner}`, {
		reason: "HomeInUse",
		hint: "Use it (`slipway status`), stop it (`slipway down`), or choose another folder with --home FOLDER",
	});
}
