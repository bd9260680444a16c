/**
 * The system calls that block or that change the calling thread's namespace: they run here, never on the event loop.
 * One request at a time, in order; answers go back by id.
 */
import {
	chmodSync,
	closeSync,
	existsSync,
	fstatSync,
	ftruncateSync,
	mkdirSync,
	openSync,
	readSync,
	rmSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";
import { parentPort } from "node:worker_threads";
import { systemCode } from "../../base/error.ts";
import { collectWhenQuiet } from "../../base/garbage.ts";
import { posixSpawn } from "../../base/posix-spawn.ts";
import {
	CLONE_NEWNET,
	CLONE_NEWPID,
	close,
	ioctl,
	listenTcp,
	loopbackUp,
	MNT_DETACH,
	MS_BIND,
	MS_NODEV,
	MS_NOSUID,
	mknod,
	mount,
	nextDataExtent,
	setns,
	tcpSocket,
	umount,
	unshare,
} from "../../base/syscall.ts";
import { closeDoor, type Door, openDoor } from "./door.ts";
import type { HolderInput } from "./holders.ts";
import type { KernelAnswer, KernelOperations, KernelRequest } from "./kernel-thread.ts";
import { deleteLinks, listenOnLoopback, makeLink } from "./network-links.ts";

const home = openSync("/proc/thread-self/ns/net", "r");
const homeProcesses = openSync("/proc/thread-self/ns/pid", "r");

/** From <linux/loop.h>. */
const LOOP_CTL_GET_FREE = 0x4c82n;
const LOOP_CONFIGURE = 0x4c0an;
const LO_FLAGS_AUTOCLEAR = 4;
const LO_FLAGS_DIRECT_IO = 16;
/** struct loop_config: fd, block_size, struct loop_info64 (232 bytes), 64 reserved bytes. */
const LOOP_CONFIG_BYTES = 4 + 4 + 232 + 64;
/** lo_flags inside loop_info64, after five 64-bit and three 32-bit fields. */
const LOOP_CONFIG_FLAGS_AT = 8 + 5 * 8 + 3 * 4;
const LOOP_BLOCK_BYTES = 4096;
const LOOP_MAJOR = 7;
const COPY_BYTES = 1 << 20;
/** Another program may take the free loop device between our asking and our taking. */
const LOOP_ATTEMPTS = 32;

const operations: KernelOperations = {
	createNetwork({ path, port, holder, withDoor }) {
		closeSync(openSync(path, "wx", 0o600));
		unshare(CLONE_NEWNET);
		let fd: number | undefined;
		let door: Door | string | undefined;
		try {
			mount("/proc/thread-self/ns/net", path, "none", MS_BIND);
			disableIpv6();
			fd = listenTcp([127, 0, 0, 1], port);
			loopbackUp(fd);
			door = withDoor ? openDoor() : "it is not wanted";
			return { fd, holderPid: startHolder(holder), door };
		} catch (error) {
			if (fd !== undefined) close(fd);
			if (typeof door === "object") closeDoor(door);
			removeNetwork(path);
			throw error;
		} finally {
			setns(home, CLONE_NEWNET);
		}
	},
	startHolder: ({ path, holder }) => inNetwork(path, () => ({ holderPid: startHolder(holder) })),
	listen: ({ path, addresses }) => inNetwork(path, () => ({ fds: listenOnLoopback(addresses) })),
	openLowPorts: ({ path }) =>
		inNetwork(path, () => writeFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")),
	openSocket: ({ path }) => inNetwork(path, () => ({ fd: tcpSocket() })),
	removeNetwork({ path }) {
		removeNetwork(path);
	},
	makeLink(input) {
		makeLink(home, input);
	},
	deleteLinks({ names }) {
		deleteLinks(names);
	},
	mountDisk({ template, file, target }) {
		mkdirSync(target, { recursive: true });
		try {
			copySparse(template, file);
			mountLoop(file, target);
			chmodSync(target, 0o1777);
			rmSync(join(target, "lost+found"), { recursive: true, force: true });
		} finally {
			// The loop device holds the file; without a name it can't outlive the device, whatever happens to us. Nor may a copy
			// that a full disk cut short stay there.
			rmSync(file, { force: true });
		}
	},
	mountTmpfs({ target, options }) {
		mkdirSync(target, { recursive: true });
		mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options);
	},
	unmount({ targets }) {
		for (const target of targets) {
			unmountIfMounted(target);
			rmSync(target, { recursive: true, force: true });
		}
	},
};

function inNetwork<T>(path: string, act: () => T): T {
	const network = openSync(path, "r");
	try {
		setns(network, CLONE_NEWNET);
		return act();
	} finally {
		setns(home, CLONE_NEWNET);
		closeSync(network);
	}
}

function startHolder({ program, lifeline }: HolderInput): number {
	unshare(CLONE_NEWPID);
	try {
		// The name is all that a sandbox sees of it; the path is of no business there.
		return posixSpawn({ path: program, name: "init", args: [], env: {}, fds: [lifeline] });
	} finally {
		setns(homeProcesses, CLONE_NEWPID);
	}
}

function disableIpv6(): void {
	// The host may run without IPv6 altogether, which is as good.
	if (existsSync("/proc/sys/net/ipv6/conf/all")) writeFileSync("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
}

function removeNetwork(path: string): void {
	unmountIfMounted(path);
	rmSync(path, { force: true });
}

function unmountIfMounted(target: string): void {
	try {
		umount(target, MNT_DETACH);
	} catch (error) {
		const code = systemCode(error);
		if (code !== "EINVAL" && code !== "ENOENT") throw error;
	}
}

function copySparse(from: string, to: string): void {
	const source = openSync(from, "r");
	const target = openSync(to, "wx", 0o600);
	try {
		const buffer = Buffer.allocUnsafe(COPY_BYTES);
		for (let extent = nextDataExtent(source, 0); extent; extent = nextDataExtent(source, extent.end)) {
			for (let at = extent.start; at < extent.end; ) {
				const count = readSync(source, buffer, 0, Math.min(COPY_BYTES, extent.end - at), at);
				if (count === 0) break;
				writeSync(target, buffer, 0, count, at);
				at += count;
			}
		}
		ftruncateSync(target, sizeOf(source));
	} finally {
		closeSync(target);
		closeSync(source);
	}
}

function sizeOf(fd: number): number {
	return fstatSync(fd).size;
}

function mountLoop(file: string, target: string): void {
	const backing = openSync(file, "r+");
	try {
		const { device, fd } = attachLoop(backing);
		try {
			mount(device, target, "ext4", MS_NODEV | MS_NOSUID, "noauto_da_alloc");
		} finally {
			closeSync(fd);
		}
	} finally {
		closeSync(backing);
	}
}

/** The open device keeps the attachment until a mount does: it is cleared by itself when the last user is gone. */
function attachLoop(backing: number): { device: string; fd: number } {
	const control = openSync("/dev/loop-control", "r+");
	try {
		for (let attempt = 1; ; attempt++) {
			const number = ioctl(control, LOOP_CTL_GET_FREE, Buffer.alloc(8));
			const device = `/dev/loop${number}`;
			if (!existsSync(device)) mknod(device, 0o60660, LOOP_MAJOR, number);
			const fd = openSync(device, "r+");
			try {
				configureLoop(fd, backing);
				return { device, fd };
			} catch (error) {
				closeSync(fd);
				if (systemCode(error) !== "EBUSY" || attempt === LOOP_ATTEMPTS) throw error;
			}
		}
	} finally {
		closeSync(control);
	}
}

function configureLoop(fd: number, backing: number): void {
	const config = Buffer.alloc(LOOP_CONFIG_BYTES);
	config.writeUInt32LE(backing, 0);
	config.writeUInt32LE(LOOP_BLOCK_BYTES, 4);
	// Direct I/O, where the file system below has it: otherwise every page is cached twice.
	config.writeUInt32LE(LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO, LOOP_CONFIG_FLAGS_AT);
	try {
		ioctl(fd, LOOP_CONFIGURE, config);
	} catch (error) {
		if (systemCode(error) !== "EINVAL") throw error;
		config.writeUInt32LE(LO_FLAGS_AUTOCLEAR, LOOP_CONFIG_FLAGS_AT);
		ioctl(fd, LOOP_CONFIGURE, config);
	}
}

function answer(request: KernelRequest): KernelAnswer {
	try {
		const operation = operations[request.operation] as (input: KernelRequest["input"]) => KernelAnswer["result"];
		return { id: request.id, result: operation(request.input) };
	} catch (error) {
		const { message } = error instanceof Error ? error : { message: String(error) };
		return { id: request.id, error: { message, code: systemCode(error) } };
	}
}

const busy = collectWhenQuiet();
parentPort?.on("message", (request: KernelRequest) => {
	busy();
	parentPort?.postMessage(answer(request));
});
