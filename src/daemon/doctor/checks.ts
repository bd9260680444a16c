/** What functions need of a machine, each asked of the machine itself. */
import {
	closeSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readFileSync,
	rmSync,
	statfsSync,
	writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { release, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { probeRuntimes } from "../../adapters/sandbox-oci/probe.ts";
import { checkSocketLookup } from "../../adapters/sandbox-oci/socket-lookup.ts";
import { systemCode } from "../../base/error.ts";
import { MNT_DETACH, MS_RDONLY, mount, umount } from "../../base/syscall.ts";
import { readRunningDaemon } from "../../client/local.ts";
import type { Config } from "../config/config.ts";
import { run } from "./command.ts";
import { type Finding, missing } from "./finding.ts";

const GiB = 2 ** 30;
/** Below this no image of a common language fits beside its unpacked layers. */
const leastDiskBytes = 2 * GiB;
const comfortableDiskBytes = 10 * GiB;
/** The daemon, and a few functions of 128 MiB. */
const leastMemoryBytes = GiB;

type Check = (config: Config) => Finding | Finding[] | Promise<Finding | Finding[]>;

/** In the order in which they are best mended. */
export const checks: readonly Check[] = [
	checkUser,
	checkKernel,
	checkOverlay,
	checkControlGroups,
	checkLoop,
	checkBpf,
	(_) => checkTool("iproute2", "ip", ["-Version"], "iproute2", "networks of sandboxes"),
	(_) => checkTool("nftables", "nft", ["list", "tables"], "nftables", "firewall and NAT of sandboxes"),
	(_) => checkTool("e2fsprogs", "mkfs.ext4", ["-V"], "e2fsprogs", "/tmp of sandboxes"),
	checkContainers,
	checkDisk,
	checkMemory,
	checkPort,
	checkBuilders,
];

function checkUser(): Finding {
	if (process.getuid?.() === 0) return { name: "user", status: "ok", detail: "root" };
	return { name: "user", status: "fail", detail: "not root: containers can't be made", fix: "sudo slipway doctor" };
}

function checkKernel(): Finding {
	const [major = 0, minor = 0] = release().split(".").map(Number);
	// cgroup.kill and idmapped mounts came with 5.14 and 5.12; distributions that are still cared for are newer.
	const recent = major > 5 || (major === 5 && minor >= 10);
	const detail = `Linux ${release()}`;
	return recent
		? { name: "kernel", status: "ok", detail }
		: { name: "kernel", status: "fail", detail: `${detail}; 5.10 or later is needed` };
}

function checkOverlay(): Finding {
	const folder = mkdtempSync(join(tmpdir(), "slipway-doctor-"));
	const part = (name: string) => join(folder, name);
	try {
		for (const name of ["a", "b", "merged"]) mkdirSync(part(name));
		writeFileSync(part("a/file"), "through");
		mount("overlay", part("merged"), "overlay", MS_RDONLY, `lowerdir=${part("b")}:${part("a")}`);
		const works = readFileSync(part("merged/file"), "utf8") === "through";
		umount(part("merged"), MNT_DETACH);
		return {
			name: "overlayfs",
			status: works ? "ok" : "fail",
			detail: works ? "mounts" : "mounts, but shows the wrong files",
		};
	} catch (error) {
		const fix = systemCode(error) === "ENODEV" ? "modprobe overlay" : undefined;
		return { name: "overlayfs", status: "fail", detail: (error as Error).message, ...(fix && { fix }) };
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

function checkControlGroups(): Finding {
	const name = "cgroups";
	if (existsSync("/sys/fs/cgroup/cgroup.controllers")) {
		const controllers = readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").trim().split(" ");
		return controllersFinding(name, "v2", controllers);
	}
	if (!existsSync("/proc/cgroups")) return { name, status: "fail", detail: "the kernel has none" };
	const mounted = ["memory", "cpu", "pids", "freezer"].filter((one) => existsSync(`/sys/fs/cgroup/${one}`));
	return controllersFinding(name, "v1", mounted);
}

function controllersFinding(name: string, version: string, controllers: readonly string[]): Finding {
	const lacking = ["memory", "cpu", "pids"].filter((one) => !controllers.includes(one));
	if (lacking.length === 0) return { name, status: "ok", detail: `${version} with memory, cpu and pids` };
	return {
		name,
		status: "fail",
		detail: `${version} without ${lacking.join(", ")}: limits would not hold`,
		fix: "boot with cgroup_enable=memory (kernel command line), or give the container these controllers",
	};
}

/** /tmp of a sandbox is a file system of its own size, on a loop device. */
function checkLoop(): Finding {
	try {
		closeSync(openSync("/dev/loop-control", "r"));
		return { name: "loop devices", status: "ok", detail: "/dev/loop-control opens" };
	} catch (error) {
		return { name: "loop devices", status: "fail", detail: (error as Error).message, fix: "modprobe loop" };
	}
}

/** Without it names inside of sandboxes still work (docs/adr/0014-names-inside.md). */
function checkBpf(): Finding {
	const name = "BPF socket lookup";
	try {
		checkSocketLookup();
		return { name, status: "ok", detail: "loads" };
	} catch (error) {
		const consequence = "a service that listens on port 80 of all addresses can't start, and starts are 2 ms slower";
		return {
			name,
			status: "warn",
			detail: `${(error as Error).message}: ${consequence}`,
			fix: "give the daemon CAP_BPF and CAP_NET_ADMIN, on a kernel of 5.9 or later with CONFIG_BPF_SYSCALL and without lockdown",
		};
	}
}

async function checkTool(
	name: string,
	program: string,
	args: string[],
	debianPackage: string,
	purpose: string,
): Promise<Finding> {
	const outcome = await run(program, args);
	if (outcome.missing) return missing(name, "fail", `\`${program}\` is not installed (${purpose})`, debianPackage);
	if (!outcome.ok) return { name, status: "fail", detail: `\`${program} ${args.join(" ")}\` failed: ${outcome.why}` };
	return { name, status: "ok", detail: `\`${program}\` works` };
}

/** One line a runtime program. Only those that may be used, and only if none of them works, are a failure. */
async function checkContainers({ runtime }: Config): Promise<Finding[]> {
	const started = performance.now();
	const probed = (await probeRuntimes()).filter(({ name }) => runtime === "auto" || runtime === name);
	const tookMs = Math.round((performance.now() - started) / probed.length);
	const works = probed.some(({ usable }) => usable);
	return probed.map(({ name, version, usable, why, hint }) => {
		const detail = usable ? `${version} ran a sandbox, ${tookMs} ms with everything` : (why ?? "does not work");
		const status = usable ? "ok" : works ? "warn" : "fail";
		if (version === "" && !usable) return missing(name, status === "ok" ? "warn" : status, detail, name);
		return { name, status, detail: usable && why ? `${detail}; ${why}` : detail, ...(hint && { fix: hint }) };
	});
}

function checkDisk({ home }: Config): Finding {
	let folder = home;
	while (!existsSync(folder)) folder = dirname(folder);
	const { bavail, bsize } = statfsSync(folder);
	const free = bavail * bsize;
	const detail = `${(free / GiB).toFixed(1)} GiB free for ${home}`;
	if (free < leastDiskBytes) return { name: "disk", status: "fail", detail: `${detail}; 2 GiB are needed at least` };
	return { name: "disk", status: free < comfortableDiskBytes ? "warn" : "ok", detail };
}

function checkMemory(): Finding {
	const total = totalmem();
	const available = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1];
	const detail = `${(total / GiB).toFixed(1)} GiB, ${((Number(available) * 1024) / GiB).toFixed(1)} available`;
	return { name: "memory", status: total < leastMemoryBytes ? "warn" : "ok", detail };
}

async function checkPort({ home, listen }: Config): Promise<Finding> {
	const name = "port";
	const address = `${listen.host}:${listen.port}`;
	const owner = readRunningDaemon(home);
	if (owner?.address === address)
		return { name, status: "ok", detail: `${address} is our own daemon's (process ${owner.pid})` };
	const refusal = await new Promise<string | undefined>((resolve) => {
		const server = createServer();
		server.once("error", (error) => resolve(error.message));
		server.listen(listen, () => server.close(() => resolve(undefined)));
	});
	if (refusal === undefined) return { name, status: "ok", detail: `${address} is free` };
	return { name, status: "warn", detail: refusal, fix: "slipway up --listen 127.0.0.1:PORT" };
}

/** Images can be built elsewhere; it is only more convenient here. */
async function checkBuilders(): Promise<Finding> {
	const name = "image builder";
	const docker = await run("docker", ["version", "--format", "{{.Server.Version}}"]);
	if (docker.ok) return { name, status: "ok", detail: `Docker engine ${docker.stdout.trim()}` };
	const buildah = await run("buildah", ["--version"]);
	if (buildah.ok) return { name, status: "ok", detail: buildah.stdout.trim() };
	return missing(
		name,
		"warn",
		"neither a Docker engine nor buildah answers: images must be built elsewhere",
		"buildah",
	);
}
