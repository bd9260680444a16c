/**
 * How long turns of the event loop kept this thread's CPU while `task` ran: the third longest, milliseconds. CPU time, not
 * time on the wall, as what other programs on a busy machine take from us is not our blocking; and not the two longest,
 * which on such a machine are V8's own (a full garbage collection, compiling): code that blocks does so more than twice.
 */
export async function longestTurn(task: () => Promise<unknown>): Promise<number> {
	const longest = [0, 0, 0];
	let running = true;
	let last = process.threadCpuUsage();
	const turn = () => {
		const now = process.threadCpuUsage();
		const ms = (now.user + now.system - last.user - last.system) / 1000;
		last = now;
		if (ms > longest[2]!) {
			longest[2] = ms;
			longest.sort((a, b) => b - a);
		}
		if (running) setImmediate(turn);
	};
	setImmediate(turn);
	await task();
	running = false;
	turn();
	return longest[2]!;
}
