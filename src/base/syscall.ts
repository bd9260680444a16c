/**
 * The few Linux system calls that Node has no function for, through its built-in `node:ffi` and the C library that the
 * process has already loaded. All are synchronous and take microseconds, except where a comment says otherwise; each
 * throws an Error with Node's usual `code` ("EPERM") and `syscall` fields. Callers keep flags and structures to themselves.
 */

import ffi from "node:ffi";
import { constants } from "node:os";

const i32 = "int32";
const { functions: libc } = ffi.dlopen(null, {
	malloc_trim: { return: i32, arguments: ["uint64"] },
	__errno_location: { return: "pointer", arguments: [] },
	mount: { return: i32, arguments: ["string", "string", "string", "uint64", "string"] },
	umount2: { return: i32, arguments: ["string", i32] },
	unshare: { return: i32, arguments: [i32] },
	setns: { return: i32, arguments: [i32, i32] },
	chroot: { return: i32, arguments: ["string"] },
	fstatfs: { return: i32, arguments: [i32, "buffer"] },
	prctl: { return: i32, arguments: [i32, "uint64", "uint64", "uint64", "uint64"] },
	waitpid: { return: i32, arguments: [i32, "buffer", i32] },
	socket: { return: i32, arguments: [i32, i32, i32] },
	bind: { return: i32, arguments: [i32, "buffer", "uint32"] },
	listen: { return: i32, arguments: [i32, i32] },
	setsockopt: { return: i32, arguments: [i32, i32, i32, "buffer", "uint32"] },
	ioctl: { return: i32, arguments: [i32, "uint64", "buffer"] },
	pipe2: { return: i32, arguments: ["buffer", i32] },
	socketpair: { return: i32, arguments: [i32, i32, i32, "buffer"] },
	mknod: { return: i32, arguments: ["string", "uint32", "uint64"] },
	lsetxattr: { return: i32, arguments: ["string", "string", "buffer", "uint64", i32] },
	lgetxattr: { return: "int64", arguments: ["string", "string", "buffer", "uint64"] },
	flock: { return: i32, arguments: [i32, i32] },
	syncfs: { return: i32, arguments: [i32] },
	sync_file_range: { return: i32, arguments: [i32, "int64", "int64", "uint32"] },
	futimens: { return: i32, arguments: [i32, "buffer"] },
	utimensat: { return: i32, arguments: [i32, "string", "buffer", i32] },
	capset: { return: i32, arguments: ["buffer", "buffer"] },
	lseek: { return: "int64", arguments: [i32, "int64", i32] },
	syscall: { return: "int64", arguments: ["int64", i32, "string", "buffer", "uint64"] },
	close: { return: i32, arguments: [i32] },
	send: { return: "int64", arguments: [i32, "buffer", "uint64", i32] },
	recv: { return: "int64", arguments: [i32, "buffer", "uint64", i32] },
	waitid: { return: i32, arguments: [i32, "uint32", "buffer", i32] },
	epoll_create1: { return: i32, arguments: [i32] },
	epoll_ctl: { return: i32, arguments: [i32, i32, i32, "buffer"] },
	epoll_wait: { return: i32, arguments: [i32, "buffer", i32, i32] },
});

/** The same entry once more, for system calls that take numbers only. */
const { functions: numeric } = ffi.dlopen(null, {
	syscall: { return: "int64", arguments: ["int64", "int64", "int64"] },
});
/** And for one that takes a structure as its second argument. */
const { functions: structured } = ffi.dlopen(null, {
	syscall: { return: "int64", arguments: ["int64", i32, "buffer", "uint64"] },
});

const errnoPointer = libc.__errno_location();
/** Of names for the same number the first, which is Node's own choice: EAGAIN, not EWOULDBLOCK. */
const errorNames = new Map(
	Object.entries(constants.errno)
		.reverse()
		.map(([name, number]) => [number, name]),
);

function check(syscall: string, result: number, detail = ""): number {
	if (result >= 0) return result;
	const errno = ffi.getInt32(errnoPointer, 0);
	throw failure(syscall, errno, detail);
}

/** The error that Node itself would throw for this number of errno(3). */
export function failure(syscall: string, errno: number, detail = ""): Error {
	const code = errorNames.get(errno) ?? `errno ${errno}`;
	return Object.assign(new Error(`${code}: ${syscall}${detail && ` ${detail}`}`), { code, errno: -errno, syscall });
}

/** mount(2). `data` is the file system's option string. */
export function mount(source: string, target: string, type: string, flags: bigint, data = ""): void {
	check("mount", libc.mount(source, target, type, flags, data), `${type} on ${target}`);
}
export const MS_RDONLY = 1n;
export const MS_NOSUID = 2n;
export const MS_NODEV = 4n;
export const MS_NOEXEC = 8n;
export const MS_REMOUNT = 32n;
export const MS_BIND = 4096n;
export const MS_REC = 16384n;
export const MS_PRIVATE = 1n << 18n;
export const MS_SHARED = 1n << 20n;

/** umount2(2). */
export function umount(target: string, flags = 0): void {
	check("umount2", libc.umount2(target, flags), target);
}
export const MNT_DETACH = 2;

/** Those of MS_RDONLY, MS_NOSUID, MS_NODEV and MS_NOEXEC that are set for the mount that `fd` is in (statfs(2), f_flags). */
export function mountFlags(fd: number): bigint {
	const statfs = Buffer.alloc(120);
	check("fstatfs", libc.fstatfs(fd, statfs));
	// Behind seven words, f_fsid, f_namelen and f_frsize (64-bit machines).
	return statfs.readBigUInt64LE(80) & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
}

/** unshare(2), of the calling thread only: never on Node's main thread except for a namespace that setns then leaves again. */
export function unshare(flags: number): void {
	check("unshare", libc.unshare(flags));
}
/** setns(2), of the calling thread only. */
export function setns(fd: number, flags: number): void {
	check("setns", libc.setns(fd, flags));
}
export const CLONE_NEWNET = 0x40000000;
/** Of what the thread starts from now on; the thread itself stays where it is (pid_namespaces(7)). */
export const CLONE_NEWPID = 0x20000000;

const SYS_OPENAT2 = 437n;
const O_PATH = 0o10000000n;
const O_CLOEXEC = 0o2000000n;
const RESOLVE_IN_ROOT = 0x10n;

/**
 * openat2(2), with `root` as the root of every path and link on the way: what it finds is inside of it, whatever the links
 * say. The descriptor only names what was found (O_PATH): look at it with fstat or by /proc/self/fd. Linux 5.6.
 */
export function openInRoot(root: number, path: string): number {
	const how = Buffer.alloc(24);
	how.writeBigUInt64LE(O_PATH | O_CLOEXEC, 0);
	how.writeBigUInt64LE(RESOLVE_IN_ROOT, 16);
	return check("openat2", Number(libc.syscall(SYS_OPENAT2, root, path, how, BigInt(how.length))), path);
}

/** chroot(2), of the whole process: for child processes that do nothing else. */
export function chroot(path: string): void {
	check("chroot", libc.chroot(path), path);
}

/** prctl(2) PR_SET_CHILD_SUBREAPER: orphans below this process become its children, so that `waitpid` sees them. */
export function becomeSubreaper(): void {
	check("prctl", libc.prctl(36, 1n, 0n, 0n, 0n));
}

export interface WaitStatus {
	/** The exit code, or undefined when a signal ended the process. */
	code: number | undefined;
	/** The signal's number, or undefined. */
	signal: number | undefined;
}

/** waitpid(2) with WNOHANG on one process id: undefined while it still runs. Throws ECHILD for a stranger. */
export function waitpid(pid: number): WaitStatus | undefined {
	const status = Buffer.alloc(4);
	if (check("waitpid", libc.waitpid(pid, status, 1)) === 0) return undefined;
	const word = status.readInt32LE(0);
	const signal = word & 0x7f;
	return signal === 0 ? { code: (word >> 8) & 0xff, signal: undefined } : { code: undefined, signal };
}

/**
 * waitid(2) with WNOWAIT on every child: a process id of one that has ended and that nobody has waited for yet, or
 * undefined. It takes nothing: whose child it is may still wait for it. Always the same one, until that happens.
 */
export function peekEndedChild(): number | undefined {
	const P_ALL = 0;
	const WNOHANG_WEXITED_WNOWAIT = 1 | 4 | 0x1000000;
	const siginfo = Buffer.alloc(128);
	try {
		check("waitid", libc.waitid(P_ALL, 0, siginfo, WNOHANG_WEXITED_WNOWAIT));
	} catch (error) {
		if (error instanceof Error && "code" in error && error.code === "ECHILD") return undefined;
		throw error;
	}
	return siginfo.readInt32LE(SIGINFO_PID_AT) || undefined;
}
/** After signo, errno, code and four bytes that align the union (64-bit machines). */
const SIGINFO_PID_AT = 16;

/** pidfd_open(2): a descriptor that polls readable when the process has ended; close-on-exec. Linux 5.3. */
export function pidfdOpen(pid: number): number {
	const SYS_PIDFD_OPEN = 434n;
	return check("pidfd_open", Number(numeric.syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n)), `${pid}`);
}

/** epoll_create1(2), close-on-exec. */
export function epollCreate(): number {
	return check("epoll_create1", libc.epoll_create1(0o2000000));
}

/** struct epoll_event is packed on x86-64 alone (epoll_event(3type)). */
const EPOLL_EVENT = process.arch === "x64" ? { bytes: 12, dataAt: 4 } : { bytes: 16, dataAt: 8 };
const EPOLLIN = 1;

/** epoll_ctl(2) EPOLL_CTL_ADD for reading; `data` is a number below 2³² that `epollReady` gives back. Closing `fd` takes it out. */
export function epollAdd(epoll: number, fd: number, data: number): void {
	const event = Buffer.alloc(EPOLL_EVENT.bytes);
	event.writeUInt32LE(EPOLLIN, 0);
	event.writeUInt32LE(data, EPOLL_EVENT.dataAt);
	check("epoll_ctl", libc.epoll_ctl(epoll, 1, fd, event));
}

/** epoll_wait(2) without waiting: the data of up to `max` descriptors that are ready. */
export function epollReady(epoll: number, max: number): number[] {
	const events = Buffer.alloc(EPOLL_EVENT.bytes * max);
	const count = check("epoll_wait", libc.epoll_wait(epoll, events, max, 0));
	return Array.from({ length: count }, (_, at) => events.readUInt32LE(at * EPOLL_EVENT.bytes + EPOLL_EVENT.dataAt));
}

/**
 * socket(2): rtnetlink(7) in the calling thread's network namespace, where it stays, with short acknowledgements that have
 * the kernel's reason in words; close-on-exec.
 */
export function routeSocket(): number {
	const [AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE] = [16, 3 | 0o2000000, 0];
	const [SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK] = [270, 10, 11];
	const fd = check("socket", libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE), "NETLINK_ROUTE");
	const one = Buffer.from([1, 0, 0, 0]);
	for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK])
		check("setsockopt", libc.setsockopt(fd, SOL_NETLINK, option, one, one.length));
	return fd;
}

/** close(2), of a descriptor that was opened here: of those, Node's own closeSync warns in a worker thread. */
export function close(fd: number): void {
	check("close", libc.close(fd));
}

/** send(2): one datagram to where the socket is connected; a netlink socket's is the kernel. */
export function send(fd: number, data: Buffer): void {
	check("send", Number(libc.send(fd, data, BigInt(data.length), 0)));
}

/** recv(2) of one datagram, without waiting: its length, cut to the buffer's. Throws EAGAIN when there is none. */
export function receive(fd: number, buffer: Buffer): number {
	const MSG_DONTWAIT = 0x40;
	return check("recv", Number(libc.recv(fd, buffer, BigInt(buffer.length), MSG_DONTWAIT)));
}

/** Whether a connected socket has nothing to read and its other side is open: recv(2) of a byte that stays where it is. */
export function isQuiet(fd: number): boolean {
	const MSG_PEEK = 2;
	const MSG_DONTWAIT = 0x40;
	const count = Number(libc.recv(fd, oneByte, 1n, MSG_PEEK | MSG_DONTWAIT));
	return count < 0 && ffi.getInt32(errnoPointer, 0) === constants.errno.EAGAIN;
}

const oneByte = Buffer.alloc(1);

/** netdevice(7) SIOCGIFINDEX, in the network namespace of any socket. Throws ENODEV for a name that there is not. */
export function interfaceIndex(fd: number, name: string): number {
	const SIOCGIFINDEX = 0x8933n;
	const ifreq = Buffer.alloc(40);
	ifreq.write(name, 0, 15);
	check("ioctl", libc.ioctl(fd, SIOCGIFINDEX, ifreq), `SIOCGIFINDEX ${name}`);
	return ifreq.readInt32LE(16);
}

const AF_INET = 2;
const SOCK_STREAM_CLOEXEC_NONBLOCK = 1 | 0o2000000 | 0o4000;

/** socket(2): TCP over IPv4, in the calling thread's network namespace, where it stays; non-blocking, close-on-exec. */
export function tcpSocket(): number {
	return check("socket", libc.socket(AF_INET, SOCK_STREAM_CLOEXEC_NONBLOCK, 0));
}

/** A TCP/IPv4 socket bound and listening in the calling thread's network namespace; non-blocking, close-on-exec. */
export function listenTcp(address: ArrayLike<number>, port: number, backlog = 511): number {
	const fd = tcpSocket();
	try {
		const sockaddr = Buffer.alloc(16);
		sockaddr.writeUInt16LE(AF_INET, 0);
		sockaddr.writeUInt16BE(port, 2);
		sockaddr.set(address, 4);
		const one = Buffer.from([1, 0, 0, 0]);
		check("setsockopt", libc.setsockopt(fd, 1, 2, one, 4));
		check("bind", libc.bind(fd, sockaddr, 16), `${Array.from(address).join(".")}:${port}`);
		check("listen", libc.listen(fd, backlog));
	} catch (error) {
		close(fd);
		throw error;
	}
	return fd;
}

/**
 * bpf(2): its result, for some commands a descriptor, close-on-exec. `attributes` is the command's part of union bpf_attr, and
 * `pointers` what it points to, by the offset of the pointer.
 */
export function bpf(command: number, attributes: Buffer, pointers: Readonly<Record<number, Buffer>> = {}): number {
	const SYS_BPF = process.arch === "x64" ? 321n : 280n;
	pointedTo.add(pointers);
	for (const [at, to] of Object.entries(pointers)) attributes.writeBigUInt64LE(ffi.getRawPointer(to), Number(at));
	try {
		return check(
			"bpf",
			Number(structured.syscall(SYS_BPF, command, attributes, BigInt(attributes.length))),
			`${command}`,
		);
	} finally {
		pointedTo.delete(pointers);
	}
}
/** Nothing that a call under way points to is to be collected. */
const pointedTo = new Set<object>();

/** Brings the loopback interface of the calling thread's network namespace up. `controlFd` is any socket of that namespace. */
export function loopbackUp(controlFd: number): void {
	const SIOCSIFFLAGS = 0x8914n;
	const ifreq = Buffer.alloc(40);
	ifreq.write("lo");
	ifreq.writeInt16LE(1 | 64, 16); // IFF_UP | IFF_RUNNING
	check("ioctl", libc.ioctl(controlFd, SIOCSIFFLAGS, ifreq), "SIOCSIFFLAGS lo");
}

/** ioctl(2) with a buffer argument; returns its result. */
export function ioctl(fd: number, request: bigint, argument: Buffer): number {
	return check("ioctl", libc.ioctl(fd, request, argument));
}

/** A real pipe (Node's own child pipes are socket pairs, which /dev/stdout can't reopen). Both ends close on exec. */
export function pipe(): { read: number; write: number } {
	const fds = Buffer.alloc(8);
	check("pipe2", libc.pipe2(fds, 0o2000000));
	return { read: fds.readInt32LE(0), write: fds.readInt32LE(4) };
}

/** socketpair(2): two connected stream sockets of this machine, close-on-exec. */
export function socketPair(): readonly [number, number] {
	const fds = Buffer.alloc(8);
	check("socketpair", libc.socketpair(1, 1 | 0o2000000, 0, fds));
	return [fds.readInt32LE(0), fds.readInt32LE(4)];
}

/** mknod(2); `mode` carries the type bits. */
export function mknod(path: SyscallPath, mode: number, major: number, minor: number): void {
	// glibc's makedev: 12 bits of major and 20 of minor, interleaved.
	const device =
		(BigInt(major & 0xfff) << 8n) |
		BigInt(minor & 0xff) |
		(BigInt(minor & ~0xff) << 12n) |
		(BigInt(major & ~0xfff) << 32n);
	check("mknod", libc.mknod(cString(path), mode, device), `${path}`);
}

/** lsetxattr(2): does not follow a link at the end of the path. */
export function lsetxattr(path: SyscallPath, name: string, value: Buffer): void {
	check("lsetxattr", libc.lsetxattr(cString(path), name, value, BigInt(value.length), 0), `${name} on ${path}`);
}

/** lgetxattr(2): a value of up to 255 bytes, or undefined where the attribute is not set. */
export function lgetxattr(path: SyscallPath, name: string): Buffer | undefined {
	const value = Buffer.alloc(255);
	try {
		const length = Number(libc.lgetxattr(cString(path), name, value, BigInt(value.length)));
		return value.subarray(0, check("lgetxattr", length, `${name} on ${path}`));
	} catch (error) {
		if (error instanceof Error && "code" in error && (error.code === "ENODATA" || error.code === "ENOTSUP"))
			return undefined;
		throw error;
	}
}

/** A path as text, or as bytes for names that are not UTF-8. */
export type SyscallPath = string | Buffer;

const nul = Buffer.alloc(1);
function cString(path: SyscallPath): string | Buffer {
	return typeof path === "string" ? path : Buffer.concat([path, nul]);
}

export interface FileTime {
	/** Seconds since the epoch, may be negative. */
	seconds: number;
	/** 0 to 999,999,999. */
	nanoseconds: number;
}

const times = Buffer.alloc(32);
function twice(time: FileTime): Buffer {
	for (const at of [0, 16]) {
		times.writeBigInt64LE(BigInt(time.seconds), at);
		times.writeBigInt64LE(BigInt(time.nanoseconds), at + 8);
	}
	return times;
}

/** futimens(2): sets access and modification time of an open file, to the nanosecond (Node's futimes takes a double). */
export function futimens(fd: number, time: FileTime): void {
	check("futimens", libc.futimens(fd, twice(time)));
}

/** utimensat(2) with AT_SYMLINK_NOFOLLOW: access and modification time of the path itself. */
export function lutimens(path: SyscallPath, time: FileTime): void {
	const AT_FDCWD = -100;
	const AT_SYMLINK_NOFOLLOW = 0x100;
	check("utimensat", libc.utimensat(AT_FDCWD, cString(path), twice(time), AT_SYMLINK_NOFOLLOW), `${path}`);
}

/** syncfs(2): everything written to the file system of `fd` is on the disk. Takes as long as the disk does. */
export function syncfs(fd: number): void {
	check("syncfs", libc.syncfs(fd));
}

/** sync_file_range(2) with SYNC_FILE_RANGE_WRITE: the disk begins to write what the whole file has waiting; nothing is waited for. */
export function startWriteback(fd: number): void {
	check("sync_file_range", libc.sync_file_range(fd, 0n, 0n, 2));
}

/** prctl(2) PR_SET_PDEATHSIG: SIGKILL for this process when its parent dies. */
export function dieWithParent(): void {
	check("prctl", libc.prctl(1, 9n, 0n, 0n, 0n));
}

/** prctl(2) PR_SET_NO_NEW_PRIVS. */
export function setNoNewPrivileges(): void {
	check("prctl", libc.prctl(38, 1n, 0n, 0n, 0n));
}

/** capset(2) of the calling thread: keeps only these capabilities (numbers of linux/capability.h), effective and permitted. */
export function keepCapabilities(keep: readonly number[]): void {
	const _LINUX_CAPABILITY_VERSION_3 = 0x20080522;
	const header = Buffer.alloc(8);
	header.writeUInt32LE(_LINUX_CAPABILITY_VERSION_3, 0);
	// Two sets of 32 bits, each { effective, permitted, inheritable }.
	const data = Buffer.alloc(24);
	for (const capability of keep)
		for (const field of [0, 4]) {
			const at = (capability >> 5) * 12 + field;
			data.writeUInt32LE((data.readUInt32LE(at) | (1 << (capability & 31))) >>> 0, at);
		}
	check("capset", libc.capset(header, data));
}

/** lseek(2) SEEK_DATA and SEEK_HOLE: the next run of bytes that a sparse file really holds, from `offset`; undefined after the last. */
export function nextDataExtent(fd: number, offset: number): { start: number; end: number } | undefined {
	try {
		const start = checkOffset(libc.lseek(fd, BigInt(offset), 3));
		return { start, end: checkOffset(libc.lseek(fd, BigInt(start), 4)) };
	} catch (error) {
		if (error instanceof Error && "code" in error && error.code === "ENXIO") return undefined;
		throw error;
	}
}

function checkOffset(result: bigint): number {
	if (result < 0n) check("lseek", -1);
	return Number(result);
}

/** flock(2) LOCK_EX | LOCK_NB: false when another open file holds it. The kernel lets go when the process dies. */
export function tryLock(fd: number): boolean {
	try {
		check("flock", libc.flock(fd, 2 | 4));
		return true;
	} catch (error) {
		if (error instanceof Error && "code" in error && (error.code === "EAGAIN" || error.code === "EWOULDBLOCK"))
			return false;
		throw error;
	}
}

/** malloc_trim(3): gives freed memory of the C library's heaps back to the kernel. */
export function trimMalloc(): void {
	libc.malloc_trim(0n);
}
