/** What a daemon on this machine leaves in its home folder for its own command line: the lock's record and the credentials. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { systemCode } from "../base/error.ts";

/** Where the state is when SLIPWAY_HOME is not set. */
export function defaultHome(user: { root: boolean; userHome: string }): string {
	return user.root ? "/var/lib/slipway" : join(user.userHome, ".slipway");
}

export const lockFile = "daemon.lock";
export const credentialsFile = "credentials.json";
export const daemonLogFile = "daemon.log";

/** Written by the daemon into its lock file; `url` once it listens. */
export interface LockRecord {
	pid: number;
	/** Milliseconds since the epoch. */
	startedMs: number;
	version: string;
	/** `host:port` that it listens on, or means to. */
	address: string;
	/** Base URL for clients of this machine; empty until it is ready. */
	url: string;
	region: string;
	accountId: string;
}

export interface LocalCredentials {
	accessKeyId: string;
	secretAccessKey: string;
	token: string;
	registryPassword: string;
	accountId: string;
}

function readJson<T>(path: string): T | undefined {
	try {
		return JSON.parse(readFileSync(path, "utf8")) as T;
	} catch (error) {
		// A file that is missing or half written by a daemon that is just starting means the same: nothing to read yet.
		if (error instanceof SyntaxError || systemCode(error) === "ENOENT" || systemCode(error) === "ENOTDIR")
			return undefined;
		throw error;
	}
}

export function readCredentials(home: string): LocalCredentials | undefined {
	return readJson(join(home, credentialsFile));
}

/** The record of the daemon that holds the lock now, or undefined. Looks only: taking the lock could fail a daemon that starts. */
export function readRunningDaemon(home: string): LockRecord | undefined {
	const record = readJson<LockRecord>(join(home, lockFile));
	return record && isLocked(join(home, lockFile), record.pid) ? record : undefined;
}

/** proc_locks(5): `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`. The device is left out: overlays report another one. */
export function isLocked(path: string, pid: number): boolean {
	const inode = statSync(path, { throwIfNoEntry: false })?.ino;
	if (inode === undefined) return false;
	return readFileSync("/proc/locks", "utf8")
		.split("\n")
		.some((line) => {
			const fields = line.trim().split(/\s+/);
			return fields[1] === "FLOCK" && Number(fields[4]) === pid && fields[5]?.endsWith(`:${inode}`);
		});
}
