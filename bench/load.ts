/** Two ways to ask: as fast as answers come, and as often as a clock says. */
import { setTimeout as sleep } from "node:timers/promises";

/** Each client sends one request after the other for so long: answers a second, of all together. */
export async function closedLoop<Client>(
	clients: readonly Client[],
	seconds: number,
	send: (client: Client) => Promise<unknown>,
): Promise<number> {
	const started = performance.now();
	const until = started + seconds * 1000;
	let count = 0;
	const work = clients.map(async (client) => {
		while (performance.now() < until) {
			await send(client);
			count++;
		}
	});
	await Promise.all(work);
	return count / ((performance.now() - started) / 1000);
}

/** Milliseconds between two looks at what is due. */
const tickMs = 1;

/**
 * Requests come at their times, whether earlier ones have been answered or not, and wait for a client that is free: milliseconds
 * from when each was due to its answer. What the sender itself is late is in them.
 */
export async function openLoop<Client>(
	clients: readonly Client[],
	{ perSecond, seconds }: { perSecond: number; seconds: number },
	send: (client: Client) => Promise<unknown>,
): Promise<number[]> {
	const free = [...clients];
	const waiting: number[] = [];
	const times: number[] = [];
	const total = perSecond * seconds;
	const { promise: all, resolve, reject } = Promise.withResolvers<void>();
	const begin = async (client: Client, due: number) => {
		await send(client);
		times.push(performance.now() - due);
		const next = waiting.shift();
		if (next === undefined) free.push(client);
		else void begin(client, next).catch(reject);
		if (times.length === total) resolve();
	};
	const started = performance.now();
	for (let sent = 0; sent < total; await Promise.race([sleep(tickMs), all]))
		for (const now = performance.now(); sent < total; sent++) {
			const due = started + (sent * 1000) / perSecond;
			if (due > now) break;
			const client = free.pop();
			if (client === undefined) waiting.push(due);
			else void begin(client, due).catch(reject);
		}
	await all;
	return times;
}
