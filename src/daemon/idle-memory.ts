/** Gives memory back once nothing happens: an idle daemon should cost little, and V8 alone waits for pressure that never comes. */
import type { Clock } from "../base/clock.ts";
import { collectGarbage } from "../base/garbage.ts";
import { trimMalloc } from "../base/syscall.ts";

/** Milliseconds without a request before it is done, once for each quiet time. */
const quietMs = 5000;
/** The same after the start, which leaves more behind than anything else (15 MB): what compiled the modules. */
const firstQuietMs = 1000;

/** `activity` counts requests. The collection, the thorough one, takes some tens of milliseconds, once, when nobody is there to wait for it. */
export function trimWhenIdle(clock: Clock, activity: () => number): Disposable {
	let seen = activity();
	let trimmed = false;
	let cancel: () => void;
	const look = () => {
		const now = activity();
		if (now !== seen) trimmed = false;
		else if (!trimmed) {
			collectGarbage();
			trimMalloc();
			trimmed = true;
		}
		seen = now;
		cancel = clock.after(quietMs, look);
	};
	cancel = clock.after(firstQuietMs, look);
	return { [Symbol.dispose]: () => cancel() };
}
