import { chmodSync, copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const BUSYBOX = ["/bin/busybox", "/usr/bin/busybox"];
const applets = [
	"sh",
	"cat",
	"chmod",
	"dd",
	"df",
	"echo",
	"env",
	"false",
	"grep",
	"head",
	"id",
	"ip",
	"kill",
	"ls",
	"mount",
	"nc",
	"pwd",
	"rm",
	"sleep",
	"sync",
	"tail",
	"touch",
	"true",
	"ulimit",
	"uname",
	"unshare",
	"wc",
	"wget",
	"yes",
	"ping",
	"nslookup",
	"ln",
	"mkdir",
	"mv",
	"stat",
	"sed",
	"seq",
	"tr",
	"timeout",
];

export function busyboxPath(): string | undefined {
	return BUSYBOX.find((path) => existsSync(path));
}

/** A root file system with a static busybox and the mount points that every rootfs has. */
export function makeBusyboxRootfs(folder: string, busybox: string): string {
	for (const name of ["bin", "proc", "sys", "dev", "tmp", "etc", "var", "var/task"])
		mkdirSync(join(folder, name), { recursive: true });
	for (const name of ["hosts", "hostname", "resolv.conf"]) writeFileSync(join(folder, "etc", name), "");
	writeFileSync(join(folder, "etc/passwd"), "root:x:0:0::/:/bin/sh\nsandbox:x:1000:1000::/tmp:/bin/sh\n");
	copyFileSync(busybox, join(folder, "bin/busybox"));
	chmodSync(join(folder, "bin/busybox"), 0o755);
	for (const applet of applets) symlinkSync("busybox", join(folder, "bin", applet));
	return folder;
}
