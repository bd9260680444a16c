import { setTimeout as sleep } from "node:timers/promises";
import { pushStaticImage, SlipwayClient } from "../../bench/slipway-client.ts";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { pushShellRuntime } from "../e2e/function-image.ts";
import { ControlPlane } from "./control-plane.ts";

export interface ColdTally {
	starts: number;
	/** Of these, those that were meant to. */
	failed: number;
	/** Answers of a sandbox that was there already: it was not idle yet when it was told to go. */
	warm: number;
	wrong: number;
	/** The first of them, in words. */
	examples: string[];
	seconds: number;
}

/** Each has a function of its own, which is sent to zero between two events. */
const lanes = 8;
const answerMs = 60_000;
/** By then it is idle, mostly. */
const idleMs = 500;
const shownWrong = 20;
const progressMs = 5_000;
/** Of a tenth of the events one half ends its process, the other goes to a function whose process ends before it asks for any. */
const failingEvery = 10;

/** Events that each find no sandbox. */
export class ColdStarts {
	readonly #daemon: LocalDaemon;
	readonly #images: { static: string; broken: string };

	static async prepare(daemon: LocalDaemon): Promise<ColdStarts> {
		const images = { static: await pushStaticImage(daemon), broken: await pushShellRuntime(daemon, "soak-broken") };
		return new ColdStarts(daemon, images);
	}

	private constructor(daemon: LocalDaemon, images: { static: string; broken: string }) {
		this.#daemon = daemon;
		this.#images = images;
	}

	/** Makes the functions, has `count` cold starts and removes the functions. */
	async run(count: number, onProgress: (line: string) => void): Promise<ColdTally> {
		const names = Array.from({ length: lanes }, (_, lane) => `cold-${lane}`);
		using control = new ControlPlane(this.#daemon);
		for (const name of names) {
			await control.create(name, this.#images.static, { timeoutS: 10 });
			await control.create(`${name}-broken`, this.#images.broken, { timeoutS: 20, variables: { INIT: "exit" } });
		}
		const tally: ColdTally = { starts: 0, failed: 0, warm: 0, wrong: 0, examples: [], seconds: 0 };
		const began = performance.now();
		let said = began;
		let next = 0;
		await Promise.all(
			names.map(async (name) => {
				const client = await SlipwayClient.open(this.#daemon);
				// Each function is used at least once: its log has a file open from then on.
				for (const index of [0, failingEvery - 7]) await this.#one(client, name, index, tally);
				while (tally.starts < count) {
					await this.#one(client, name, next++, tally);
					if (performance.now() - said < progressMs) continue;
					said = performance.now();
					onProgress(`${tally.starts} of ${count} cold starts, ${tally.failed} failed as told, ${tally.wrong} wrong`);
				}
				client.close();
			}),
		);
		tally.seconds = (performance.now() - began) / 1000;
		for (const name of names) for (const each of [name, `${name}-broken`]) await control.delete(each);
		return tally;
	}

	async #one(client: SlipwayClient, lane: string, index: number, tally: ColdTally): Promise<void> {
		const fails = index % failingEvery === 3;
		const broken = fails && index % (2 * failingEvery) === 3;
		const name = broken ? `${lane}-broken` : lane;
		const event = { do: fails ? "exit" : "echo", index };
		const { status, head, body } = await answerOf(client, client.invokeRequest(name, event));
		const expected = broken ? "exit status 5" : fails ? '"errorType":"Runtime.ExitError"' : JSON.stringify(event);
		const said = /^x-amz-function-error: *Unhandled\r?$/im.test(head);
		if (/^server-timing:/im.test(head)) tally.starts++;
		else tally.warm++;
		if (status === 200 && said === fails && String(body).includes(expected)) tally.failed += fails ? 1 : 0;
		else {
			tally.wrong++;
			const line = `cold ${name} ${JSON.stringify(event)}: ${status} ${String(body).slice(0, 200)}`;
			if (tally.examples.length < shownWrong) tally.examples.push(line);
		}
		await this.#stop(name);
	}

	/** A sandbox that has answered asks for the next event a moment later: before that it is not idle, and does not go. */
	async #stop(name: string): Promise<void> {
		for (const until = performance.now() + idleMs; performance.now() < until; await sleep(2))
			if ((await this.#stopIdle(name)) > 0) return;
	}

	/** Returns how many sandboxes went. */
	async #stopIdle(name: string): Promise<number> {
		const { url, credentials } = this.#daemon;
		const headers = { authorization: `Bearer ${credentials.token}` };
		const answer = await fetch(`${url}/_slipway/functions/${name}/stop`, { method: "POST", headers });
		const text = await answer.text();
		if (!answer.ok) throw new Error(`stop of ${name} answered ${answer.status}: ${text}`);
		return (JSON.parse(text) as { sandboxes: number }).sandboxes;
	}
}

async function answerOf(client: SlipwayClient, request: Buffer) {
	const late = Promise.withResolvers<never>();
	const timer = setTimeout(() => late.reject(new Error(`no answer within ${answerMs / 1000} s`)), answerMs);
	return Promise.race([client.send(request), late.promise]).finally(() => clearTimeout(timer));
}
