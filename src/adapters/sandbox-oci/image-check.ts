import { closeSync, constants, lstatSync, openSync, readlinkSync, readSync, type Stats } from "node:fs";
import { isAbsolute, join } from "node:path";
import { SlipwayError, systemCode } from "../../base/error.ts";
import type { SandboxSpec } from "../../core/sandbox/sandbox-runtime.ts";
import { isAtOrBelow, plainPath } from "../../core/sandbox/sandbox-spec.ts";
import { mountPoints } from "./bundle.ts";

/**
 * What a runtime program would find out too late, or in words of its own, or by following a link out of the image: looked
 * at before it is called. The image is read-only and nobody else's, so what was seen stays true, if not in a sandbox that has
 * changed its own copy. What lies in the sandbox's mounts is not looked at. Returns the program's path.
 */
export function checkImage(spec: ImageUse): string {
	checkMountPoints(spec.rootfs);
	checkWorkingDirectory(spec);
	return checkEntrypoint(spec);
}

export type ImageUse = Pick<SandboxSpec, "rootfs" | "args" | "env" | "cwd" | "user" | "mounts">;

/** As the kernel's own limit on links in one path (path_resolution(7)). */
const MAX_LINKS = 40;
const MAX_INTERPRETERS = 4;
/** As the kernel's BINPRM_BUF_SIZE. */
const HEADER_BYTES = 256;
const messages: Record<string, string> = {
	ENOENT: "no such file or directory",
	EACCES: "permission denied",
	ENOTDIR: "not a directory",
	ELOOP: "too many levels of symbolic links",
	ENOEXEC: "exec format error",
	EISDIR: "is a directory",
	E2BIG: "argument list too long",
};
/** e_machine of the ELF header. */
const machines: Partial<Record<NodeJS.Architecture, number>> = { x64: 62, arm64: 183 };
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A runtime that mounts over a link mounts outside of the image (CVE-2025-31133, CVE-2026-41579 and their kin). */
function checkMountPoints(rootfs: string): void {
	for (const path of mountPoints.directories) requireKind(rootfs, path, "a directory", (stat) => stat.isDirectory());
	for (const path of mountPoints.files) requireKind(rootfs, path, "a file", (stat) => stat.isFile());
}

function requireKind(rootfs: string, path: string, kind: string, matches: (stat: Stats) => boolean): void {
	const stat = lstatSync(join(rootfs, path), { throwIfNoEntry: false });
	if (stat === undefined || !matches(stat))
		throw new SlipwayError(
			"INVALID_IMAGE",
			`/${path} of the image must be ${kind}, so that the platform can mount its own there`,
			{
				reason: "InvalidMountPoint",
			},
		);
}

function checkWorkingDirectory(spec: ImageUse): void {
	try {
		if (!isAbsolute(spec.cwd)) throw coded("ENOENT");
		const found = resolve(spec.rootfs, spec.cwd, spec);
		if (!found) return;
		const { stat } = found;
		if (!stat.isDirectory()) throw coded("ENOTDIR");
		if (!permits(stat, spec.user, 1)) throw coded("EACCES");
	} catch (error) {
		throw invalid(error, `chdir ${spec.cwd}`, "InvalidWorkingDir");
	}
}

function checkEntrypoint(spec: ImageUse): string {
	const program = spec.args[0];
	if (program === undefined || program === "")
		throw new SlipwayError("INVALID_IMAGE", "The image names no program to run: it has neither ENTRYPOINT nor CMD", {
			reason: "InvalidEntrypoint",
			hint: "Set ENTRYPOINT or CMD in the Dockerfile, or ImageConfig of the function",
		});
	if (program.includes("/")) {
		const path = isAbsolute(program) ? program : join(spec.cwd, program);
		try {
			checkExecutable(spec, path, 0);
			return program;
		} catch (error) {
			throw invalid(error, `fork/exec ${program}`, "InvalidEntrypoint");
		}
	}
	return lookUp(spec, program);
}

function lookUp(spec: ImageUse, program: string): string {
	for (const folder of (spec.env.PATH ?? DEFAULT_PATH).split(":")) {
		const path = join("/", folder === "" ? spec.cwd : folder, program);
		try {
			if (isInMount(spec, path)) continue;
			checkExecutable(spec, path, 0);
			return path;
		} catch (error) {
			const code = systemCode(error);
			if (code === "ENOEXEC") throw invalid(error, `fork/exec ${path}`, "InvalidEntrypoint");
			if (code === undefined || messages[code] === undefined) throw error;
		}
	}
	throw new SlipwayError("INVALID_IMAGE", `exec: "${program}": executable file not found in $PATH`, {
		reason: "InvalidEntrypoint",
	});
}

/** As execve(2) would: a file with permission to execute, a program for this machine, and whatever interpreter it names. */
function checkExecutable(spec: ImageUse, path: string, depth: number): void {
	if (depth > MAX_INTERPRETERS) throw coded("ELOOP");
	const found = resolve(spec.rootfs, path, spec);
	if (!found) return;
	const { real, stat } = found;
	if (!stat.isFile() || !permits(stat, spec.user, 1)) throw coded("EACCES");
	const header = readHeader(join(spec.rootfs, real));
	if (header.subarray(0, 2).toString("latin1") === "#!") {
		const interpreter = header.toString("latin1").split("\n", 1)[0]!.slice(2).trim().split(/[ \t]/, 1)[0]!;
		if (interpreter === "") throw coded("ENOEXEC");
		return checkExecutable(spec, isAbsolute(interpreter) ? interpreter : join(spec.cwd, interpreter), depth + 1);
	}
	checkElf(header);
}

function checkElf(header: Buffer): void {
	const isElf = header.length >= 20 && header.subarray(0, 4).toString("latin1") === "\x7fELF";
	const machine = machines[process.arch];
	if (!isElf || (machine !== undefined && header.readUInt16LE(18) !== machine)) throw coded("ENOEXEC");
}

function readHeader(path: string): Buffer {
	const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
	try {
		const header = Buffer.alloc(HEADER_BYTES);
		return header.subarray(0, readSync(fd, header, 0, HEADER_BYTES, 0));
	} finally {
		closeSync(fd);
	}
}

function isInMount({ mounts }: ImageUse, path: string): boolean {
	return mounts?.some(({ target }) => isAtOrBelow(plainPath(path), plainPath(target))) ?? false;
}

/** Follows `path` as the sandbox would, with `rootfs` as its root: links can't lead out. Undefined when it leads into a mount. */
function resolve(rootfs: string, path: string, spec: ImageUse): { real: string; stat: Stats } | undefined {
	if (isInMount(spec, path)) return undefined;
	const pending = path.split("/").reverse();
	let real = "/";
	let stat = lstatSync(rootfs);
	for (let links = 0; pending.length > 0; ) {
		const name = pending.pop()!;
		if (name === "" || name === ".") continue;
		if (name === "..") {
			real = join(real, "..");
			stat = lstatSync(join(rootfs, real));
			continue;
		}
		if (!stat.isDirectory()) throw coded("ENOTDIR");
		if (!permits(stat, spec.user, 1)) throw coded("EACCES");
		const next = join(real, name);
		if (isInMount(spec, next)) return undefined;
		const found = lstatSync(join(rootfs, next), { throwIfNoEntry: false });
		if (found === undefined) throw coded("ENOENT");
		if (!found.isSymbolicLink()) {
			real = next;
			stat = found;
			continue;
		}
		if (++links > MAX_LINKS) throw coded("ELOOP");
		const target = readlinkSync(join(rootfs, next));
		pending.push(...target.split("/").reverse());
		if (isAbsolute(target)) {
			real = "/";
			stat = lstatSync(rootfs);
		}
	}
	return { real, stat };
}

/** Permission bits as the kernel reads them for a user without capabilities and without further groups. */
function permits(stat: Stats, user: SandboxSpec["user"], bit: 1 | 2 | 4): boolean {
	const shift = stat.uid === user.uid ? 6 : stat.gid === user.gid ? 3 : 0;
	return ((stat.mode >> shift) & bit) !== 0;
}

function coded(code: string): Error {
	return Object.assign(new Error(messages[code]), { code });
}

/** INVALID_IMAGE for a failure that the image is to blame for, by its code; anything else stays as it is. */
export function invalid(error: unknown, doing: string, reason: string): unknown {
	const message = messages[systemCode(error) ?? ""];
	return message === undefined ? error : new SlipwayError("INVALID_IMAGE", `${doing}: ${message}`, { reason });
}
