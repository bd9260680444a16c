import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { Semaphore } from "../../base/semaphore.ts";

/** Each worker reads a file at the speed of the disk and keeps a core busy; more would only take turns. */
const concurrentWorkers = 2;
const workers = new Semaphore(concurrentWorkers);

/** The hexadecimal hash of a file's content, computed in a worker thread. */
export function hashFile(path: string, algorithm: "sha256" | "sha512"): Promise<string> {
	return workers.run(
		() =>
			new Promise((resolve, reject) => {
				const script = new URL(`./hash-file-worker${extname(import.meta.url)}`, import.meta.url);
				const worker = new Worker(script, { workerData: { path, algorithm } });
				worker.once("message", resolve);
				worker.once("error", reject);
				// Settles only what neither a message nor an error has settled before.
				worker.once("exit", (code) => reject(new Error(`Hashing worker exited early with code ${code}`)));
			}),
	);
}
