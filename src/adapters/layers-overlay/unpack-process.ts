/** The parent's side of one unpacking child process. */
import { spawn } from "node:child_process";
import { open } from "node:fs/promises";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { type ErrorCode, SlipwayError, systemCode } from "../../base/error.ts";
import type { LayerLimits } from "../../core/image/layer-limits.ts";
import type { BackgroundGroup } from "./background-group.ts";
import type { WrittenLayer } from "./entry-writer.ts";
import type { LayerSource } from "./layer-stream.ts";

export interface UnpackJob {
	/** The folder that the child makes its root. */
	folder: string;
	/** The descriptor, in the child, of the open blob. */
	blobFd: number;
	layer: Omit<LayerSource, "fd">;
	limits: LayerLimits;
}

export type UnpackMessage =
	| { type: "progress"; bytesRead: number }
	| ({ type: "done" } & UnpackResult)
	| { type: "failed"; code: ErrorCode; message: string; reason?: string; hint?: string };

export interface UnpackResult extends WrittenLayer {
	entries: number;
	size: number;
}

/** Both in MiB. The heap holds the directory index at most; buffers are outside of it. */
const workerHeapMiB = 512;
const workerYoungMiB = 8;
/** Of the child's standard error, for the message when it dies without one. */
const maxErrorText = 4096;
/** stdin, stdout, stderr, messages, blob. */
const blobFd = 4;

const workerPath = fileURLToPath(new URL(`./unpack-worker${extname(import.meta.filename)}`, import.meta.url));

/**
 * Unpacks the blob at `path` into `folder` and resolves after the child is gone. INVALID_IMAGE, DIGEST_MISMATCH,
 * EXHAUSTED, NOT_FOUND for a missing blob, UNAVAILABLE when the child dies; an abort rejects with the signal's reason.
 * What the folder holds after a failure is the caller's to remove. Compiled code is kept in `cacheFolder`, which takes
 * the child's start from 130 ms to 45 in a checkout (stripping types is most of it).
 */
export async function unpackInChild(
	path: string,
	job: Omit<UnpackJob, "blobFd">,
	cacheFolder: string,
	options: { background: BackgroundGroup; onProgress?: (bytesRead: number) => void; signal?: AbortSignal },
): Promise<UnpackResult> {
	const { background, onProgress, signal } = options;
	signal?.throwIfAborted();
	await using blob = await openBlob(path);
	const child = spawn(
		process.execPath,
		[
			"--disable-warning=ExperimentalWarning",
			`--max-old-space-size=${workerHeapMiB}`,
			`--max-semi-space-size=${workerYoungMiB}`,
			workerPath,
			JSON.stringify({ ...job, blobFd } satisfies UnpackJob),
		],
		{
			stdio: ["ignore", "ignore", "pipe", "ipc", blob.fd],
			// Nothing of ours: no variable is the layer's business, and NODE_EXTRA_CA_CERTS alone costs 100 ms.
			env: { NODE_COMPILE_CACHE: cacheFolder },
			serialization: "json",
		},
	);
	if (child.pid !== undefined) background.add(child.pid);
	const kill = () => child.kill("SIGKILL");
	signal?.addEventListener("abort", kill, { once: true });
	let last: UnpackMessage | undefined;
	let errorText = "";
	child.stderr?.setEncoding("utf8").on("data", (text: string) => {
		errorText = (errorText + text).slice(-maxErrorText);
	});
	child.on("message", (message: UnpackMessage) => {
		if (message.type === "progress") onProgress?.(message.bytesRead);
		else last = message;
	});
	const ended = await new Promise<string>((resolve, reject) => {
		child.on("error", reject);
		child.on("close", (code, signalName) => resolve(signalName ?? `exit code ${code}`));
	}).finally(() => signal?.removeEventListener("abort", kill));
	signal?.throwIfAborted();
	if (last?.type === "done") return last;
	if (last?.type === "failed") throw new SlipwayError(last.code, last.message, last);
	throw new SlipwayError("UNAVAILABLE", `The process that unpacks a layer died (${ended})`, {
		cause: new Error(errorText),
	});
}

async function openBlob(path: string) {
	try {
		return await open(path, "r");
	} catch (error) {
		if (systemCode(error) === "ENOENT")
			throw new SlipwayError("NOT_FOUND", `The layer's blob is missing: '${path}'`, { cause: error });
		throw error;
	}
}
