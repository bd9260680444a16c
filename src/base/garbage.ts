/** Gives memory back once nothing happens: V8 alone waits for pressure that never comes in an idle daemon. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Milliseconds without work before a thread is collected; as idle-memory.ts has it for the main one. */
const quietMs = 5000;

type Collect = (options: { type: "major"; flavor: "last-resort" }) => void;
let collect: Collect | undefined;

/** The thorough collection, of this thread alone: some tens of milliseconds. */
export function collectGarbage(): void {
	if (!collect) {
		setFlagsFromString("--expose-gc");
		collect = runInNewContext("gc") as Collect;
	}
	collect({ type: "major", flavor: "last-resort" });
}

/**
 * For a worker thread: collects once in each quiet time, after `release` has let go of what may go. Call what it returns at
 * each piece of work. Keeps no thread running.
 */
export function collectWhenQuiet(release?: () => void): () => void {
	const timer = setTimeout(() => {
		release?.();
		collectGarbage();
	}, quietMs).unref();
	return () => void timer.refresh();
}
