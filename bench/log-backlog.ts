/** Whether messages that wait make anything slower: 10 million of them in a log, beside a log that is empty. */
import { mkdtemp, readdir, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SqliteMessageLog } from "../src/adapters/message-log-sqlite/sqlite-message-log.ts";
import { systemClock } from "../src/base/clock.ts";
import { randomIds, timeOrderedUuid } from "../src/base/ids.ts";
import { silentLog } from "../src/base/log.ts";
import type { Append } from "../src/core/message-log/message-log.ts";
import { startDaemon } from "../tools/local-daemon.ts";
import { residentMegabytes } from "./memory.ts";
import { type Figure, figure } from "./result.ts";
import { type RunOptions, timed } from "./run-options.ts";

const waiting = 10_000_000;
const waitingQuick = 200_000;
/** Bytes of each that waits. */
const bodyBytes = 100;
/** Bytes on the disk for each that waits, at most. */
const diskBytes = 800;
const fillers = 4;
const appendsPerCommit = 1000;
const callers = 64;
const sentBytes = 1024;
const lane = "sqs/backlog";

type Kind = "empty" | "full";
const kinds: readonly Kind[] = ["empty", "full"];

function append(to: string, body: Uint8Array): Append {
	return { change: "append", lane: to, id: timeOrderedUuid(Date.now(), randomIds), body };
}

async function open(path: string): Promise<SqliteMessageLog> {
	return await SqliteMessageLog.open({ path, clock: systemClock, log: silentLog });
}

/** Through the port, many to a commit. */
export async function fillLog(path: string, messages: number, onProgress: (done: number) => void): Promise<void> {
	await using log = await open(path);
	const body = Buffer.alloc(bodyBytes, "w");
	let begun = 0;
	let done = 0;
	const fill = async () => {
		while (begun < messages) {
			const count = Math.min(appendsPerCommit, messages - begun);
			begun += count;
			await log.commit(Array.from({ length: count }, () => append(lane, body)));
			done += count;
			onProgress(done);
		}
	};
	await Promise.all(Array.from({ length: fillers }, fill));
}

/** Messages a second, each a commit of its own, of callers at once. */
async function appendRate(path: string, seconds: number): Promise<number> {
	await using log = await open(path);
	const body = Buffer.alloc(sentBytes, "s");
	let sent = 0;
	const run = async (from: number, ms: number) => {
		while (performance.now() < from + ms) {
			await log.commit([append("sqs/sent", body)]);
			sent++;
		}
	};
	const all = async (ms: number) => {
		const from = performance.now();
		await Promise.all(Array.from({ length: callers }, () => run(from, ms)));
		return performance.now() - from;
	};
	// Compilers, and pages that come from the disk.
	await all(500);
	sent = 0;
	const ms = await all(seconds * 1000);
	await log.purge("sqs/sent");
	return (sent / ms) * 1000;
}

/** Homes of daemons that were started once, so that keys and settings are there, with the path of each one's log. */
async function makeHome(root: string, kind: Kind): Promise<string> {
	const home = join(root, kind);
	await (await startDaemon({ home }))[Symbol.asyncDispose]();
	const found = (await readdir(home, { recursive: true })).find((name) => name.endsWith("events.db"));
	if (found === undefined) throw new Error(`No log in ${home}`);
	return join(home, found);
}

async function inTurns(rounds: number, measure: (kind: Kind) => Promise<number>): Promise<Record<Kind, number[]>> {
	const values: Record<Kind, number[]> = { empty: [], full: [] };
	for (let round = 0; round < rounds; round++) for (const kind of kinds) values[kind].push(await measure(kind));
	return values;
}

export async function logBacklog({ quick }: RunOptions): Promise<Record<string, Figure>> {
	const messages = quick ? waitingQuick : waiting;
	const root = await mkdtemp(join(tmpdir(), "slipway-backlog-"));
	try {
		const { bavail, bsize } = await statfs(root);
		if (bavail * bsize < messages * diskBytes)
			throw new Error(`${messages} messages need ${diskBytes} bytes of disk each`);
		const paths: Record<Kind, string> = { empty: await makeHome(root, "empty"), full: await makeHome(root, "full") };
		const fillMs = await timed(() => fillLog(paths.full, messages, () => {}));
		const rates = await inTurns(quick ? 3 : 7, (kind) => appendRate(paths[kind], quick ? 1 : 4));
		const residents: Record<Kind, number[]> = { empty: [], full: [] };
		const starts = await inTurns(quick ? 3 : 5, (kind) => start(join(root, kind), residents[kind]));
		return figures({ messages, fillMs, rates, starts, residents });
	} finally {
		await rm(root, { recursive: true, force: true });
	}
}

/** Seconds until it listens. */
async function start(home: string, residents: number[]): Promise<number> {
	const began = performance.now();
	await using daemon = await startDaemon({ home });
	const seconds = (performance.now() - began) / 1000;
	residents.push(await residentMegabytes(daemon.pid));
	return seconds;
}

type Values = Record<Kind, number[]>;

function figures(found: {
	messages: number;
	fillMs: number;
	rates: Values;
	starts: Values;
	residents: Values;
}): Record<string, Figure> {
	const { messages, fillMs, rates, starts, residents } = found;
	const many = `${messages.toLocaleString("en-US")} messages waiting`;
	const beside = "none waiting";
	const fillRate = Math.round(messages / (fillMs / 1000)).toLocaleString("en-US");
	return {
		"backlog.send": figure({
			name: `appends of 1 KiB by ${callers} callers, ${many}`,
			unit: "messages/s",
			values: rates.full,
			baselines: { [beside]: rates.empty },
			how: `through the log's port, each append a call of its own. The backlog was made by the same port with ${appendsPerCommit} to a commit, ${fillRate} a second`,
			promises: { "at least 0.8 of the rate with none": ({ p50, of }) => p50 >= 0.8 * of(beside) },
		}),
		"backlog.start": figure({
			name: `start of a daemon, ${many}`,
			unit: "s",
			values: starts.full,
			baselines: { [beside]: starts.empty },
			how: "from starting the process until it listens",
			promises: {
				"at most 1.2 times that with none": ({ p50, of }) => p50 <= 1.2 * of(beside),
				"at most 2 s": ({ p50 }) => p50 <= 2,
			},
		}),
		"backlog.rss": figure({
			name: `resident memory of the daemon after its start, ${many}`,
			unit: "MB",
			values: residents.full,
			baselines: { [beside]: residents.empty },
			how: "VmRSS as soon as it listens",
			promises: { "at most 20 MB more than with none": ({ p50, of }) => p50 <= of(beside) + 20 },
		}),
	};
}
