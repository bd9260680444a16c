/** Thread of hash-file.ts: reads one file, posts its hash, ends. */
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";

const { path, algorithm } = workerData as { path: string; algorithm: string };
const hash = createHash(algorithm);
const buffer = Buffer.allocUnsafe(1024 * 1024);
const fd = openSync(path, "r");
try {
	for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer))
		hash.update(buffer.subarray(0, count));
} finally {
	closeSync(fd);
}
parentPort?.postMessage(hash.digest("hex"));
