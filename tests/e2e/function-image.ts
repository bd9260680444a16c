/** Images for tests: a busybox and a shell runtime that does what an event tells it, pushed with skopeo. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { writeOciLayout } from "./registry-layout.ts";

const run = promisify(execFile);
const applets = [
	"sh",
	"wget",
	"nc",
	"sed",
	"tr",
	"cat",
	"cp",
	"dd",
	"stat",
	"rm",
	"sleep",
	"head",
	"tail",
	"id",
	"env",
	"df",
	"mkdir",
	"kill",
	"date",
	"ls",
	"touch",
];

/** Why these tests can't run here, or undefined. */
export function missingForFunctionImages(): string | undefined {
	if (process.getuid?.() !== 0) return "needs root";
	if (!existsSync("/bin/busybox")) return "needs busybox-static";
	return existsSync("/usr/bin/skopeo") ? undefined : "needs skopeo";
}

/** Pushes the shell runtime, with `more` files beside it, as `registry/name:v1` and returns the reference. */
export async function pushShellRuntime(
	daemon: LocalDaemon,
	name: string,
	config: Record<string, unknown> = {},
	more: Record<string, string | Buffer> = {},
): Promise<string> {
	const busybox = await readFile("/bin/busybox");
	const runtime = await readFile(join(import.meta.dirname, "fixtures/runtime.sh"));
	const files: Record<string, string | Buffer> = { "bin/busybox": busybox, "runtime.sh": runtime, ...more };
	for (const applet of applets) files[`bin/${applet}`] = `#!/bin/busybox sh\nexec /bin/busybox ${applet} "$@"\n`;
	return pushFiles(daemon, name, files, { Entrypoint: ["/runtime.sh"], Env: ["PATH=/bin"], ...config });
}

export async function pushFiles(
	daemon: LocalDaemon,
	name: string,
	files: Record<string, string | Buffer>,
	config: Record<string, unknown>,
	architecture?: string,
): Promise<string> {
	const folder = await mkdtemp(join(tmpdir(), "slipway-image-"));
	try {
		await writeOciLayout(folder, { tag: "v1", files, config, ...(architecture ? { architecture } : {}) });
		const reference = `${daemon.registry}/${name}:v1`;
		const creds = `AWS:${daemon.credentials.registryPassword}`;
		await run("skopeo", [
			"copy",
			"-q",
			"--dest-tls-verify=false",
			"--dest-creds",
			creds,
			`oci:${folder}:v1`,
			`docker://${reference}`,
		]);
		return reference;
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}
