/** Gives memory back once nothing happens: an idle daemon should cost little, and V8 alone waits for pressure that never comes. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock } from "../base/clock.ts";
import { trimMalloc } from "../base/syscall.ts";

/** Milliseconds without a request before it is done, once for each quiet time. */
const quietMs = 5000;

type Collect = (options: { type: "major"; flavor: "last-resort" }) => void;

/** `activity` counts requests. The collection, the thorough one, takes some tens of milliseconds, once, when nobody is there to wait for it. */
export function trimWhenIdle(clock: Clock, activity: () => number): Disposable {
	setFlagsFromString("--expose-gc");
	const collect = runInNewContext("gc") as Collect;
	let seen = -1;
	let trimmed = false;
	let cancel: () => void;
	const look = () => {
		const now = activity();
		if (now !== seen) trimmed = false;
		else if (!trimmed) {
			collect({ type: "major", flavor: "last-resort" });
			trimMalloc();
			trimmed = true;
		}
		seen = now;
		cancel = clock.after(quietMs, look);
	};
	cancel = clock.after(quietMs, look);
	return { [Symbol.dispose]: () => cancel() };
}
