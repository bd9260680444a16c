/**
 * The child process that unpacks one layer. It chroots into the layer's folder before it reads the first byte of the
 * blob, which it got as an open descriptor, so that the kernel confines every path that the layer names. Everything it
 * needs is loaded by then (code loaded from inside would be the image's: CVE-2019-14271).
 *
 * Talks to its parent by messages: `progress` now and then, then `done` or `failed` once. Its parent's death ends it.
 */
import { closeSync, constants, openSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { fromSystemError, isSlipwayError, SlipwayError, systemCode } from "../../base/error.ts";
import { chroot, dieWithParent, keepCapabilities, setNoNewPrivileges, syncfs } from "../../base/syscall.ts";
import type { LayerLimits } from "../../core/image/layer-limits.ts";
import { EntryWriter } from "./entry-writer.ts";
import { type LayerSource, readLayer } from "./layer-stream.ts";
import { TarReader } from "./tar-reader.ts";
import type { UnpackJob, UnpackMessage } from "./unpack-process.ts";

/** linux/capability.h: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SYS_ADMIN (trusted.* attributes), MKNOD, SETFCAP. */
const neededCapabilities = [0, 1, 3, 4, 21, 27, 31];
const progressIntervalMs = 100;

function send(message: UnpackMessage): Promise<void> {
	return new Promise((resolve) => process.send!(message, () => resolve()));
}

function confine(folder: string): void {
	dieWithParent();
	process.umask(0);
	chroot(folder);
	process.chdir("/");
	setNoNewPrivileges();
	keepCapabilities(neededCapabilities);
}

async function unpack(source: LayerSource, limits: LayerLimits): Promise<UnpackMessage> {
	using writer = new EntryWriter(limits);
	const reader = new TarReader(writer, limits);
	let reported = performance.now();
	await readLayer(
		source,
		limits,
		(chunk) => reader.push(chunk),
		(bytesRead) => {
			if (performance.now() - reported < progressIntervalMs) return;
			reported = performance.now();
			void send({ type: "progress", bytesRead });
		},
	);
	reader.finish();
	const written = writer.finish();
	// One call flushes ten thousand files; fsync of each would wait for the disk as often.
	const root = openSync("/", constants.O_RDONLY | constants.O_DIRECTORY);
	syncfs(root);
	closeSync(root);
	return { type: "done", entries: reader.entries, size: reader.contentBytes, ...written };
}

function failure(cause: unknown): UnpackMessage {
	const translated = fromSystemError(cause, "unpacking a layer");
	const tooLong = systemCode(cause) === "ENAMETOOLONG";
	const error = tooLong
		? new SlipwayError("INVALID_IMAGE", "Layer holds a path that is too long for the file system", {
				reason: "LayerNameTooLong",
			})
		: translated;
	if (!isSlipwayError(error))
		return { type: "failed", code: "UNAVAILABLE", message: `Unpacking a layer failed: ${error}` };
	const { code, message, reason, hint } = error;
	return { type: "failed", code, message, ...(reason && { reason }), ...(hint && { hint }) };
}

// Now: at its end Node would write the cache below the same path again, which is in the layer then.
flushCompileCache();
const job = JSON.parse(process.argv[2]!) as UnpackJob;
try {
	confine(job.folder);
	await send(await unpack({ ...job.layer, fd: job.blobFd }, job.limits));
} catch (error) {
	await send(failure(error));
}
// Not an exit, which runs code: see flushCompileCache. There is nothing to clean up.
process.kill(process.pid, "SIGKILL");
