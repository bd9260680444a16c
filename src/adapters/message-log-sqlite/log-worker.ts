/**
 * The log's thread: here fsync blocks nobody. It takes all batches of calls that came while it was at work, and answers after the commit
 * that they share.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { collectWhenQuiet } from "../../base/garbage.ts";
import { toWire } from "../../base/wire-error.ts";
import { fromLogError } from "./database.ts";
import { LogFile } from "./log-file.ts";
import type { Batch, Message } from "./protocol.ts";

const { path, nowMs } = workerData as { path: string; nowMs: number };

const port = parentPort;
if (!port) throw new Error("This file runs as a worker thread");
const send = (message: Message) => port.postMessage(message);

/** Calls in one commit, but for those of the last batch in it: bounds how long the first of them waits for the others. */
const maxCalls = 512;
/** Bytes in one commit, in the same way. */
const maxBytes = 8_388_608;

/** The batch and those that are there behind it. `isLast`: the end is asked for behind them. */
function gather(first: Batch): { batches: Batch[]; isLast: boolean } {
	const batches = [first];
	let calls = first.calls.length;
	let bytes = first.contents.length;
	while (calls < maxCalls && bytes < maxBytes) {
		const received = receiveMessageOnPort(port as MessagePort)?.message as Batch | "close" | undefined;
		if (received === undefined) break;
		if (received === "close") return { batches, isLast: true };
		batches.push(received);
		calls += received.calls.length;
		bytes += received.contents.length;
	}
	return { batches, isLast: false };
}

try {
	const file = new LogFile(path);
	send({ ready: file.start(nowMs) });
	const busy = collectWhenQuiet(() => file.shrink());
	const close = () => {
		file[Symbol.dispose]();
		port.close();
	};
	port.on("message", (batch: Batch | "close") => {
		busy();
		if (batch === "close") return close();
		const { batches, isLast } = gather(batch);
		send({ result: file.run(batches) });
		if (isLast) close();
	});
} catch (error) {
	send({ failed: toWire(fromLogError(error, path)) });
	port.close();
}
