import { setTimeout as sleep } from "node:timers/promises";
import { pushStaticImage, SlipwayClient } from "../../bench/slipway-client.ts";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { pushShellRuntime } from "../e2e/function-image.ts";
import { ControlPlane } from "./control-plane.ts";

/** The least that there is, as hanging takes all of it. */
const timeoutS = 1;
/** An answer takes at most the function's timeout, a start and the wait for one; beyond this it never comes. */
const answerMs = 60_000;
/** By then a hanging event has reached its sandbox, most times. */
const hangUpMs = 100;
/** Wrong answers that the report shows. */
const shownWrong = 20;

/** What an invocation is meant to end as. */
export type Ending =
	| "answered"
	/** Answered, and then the process ended instead of asking for another event. */
	| "left"
	| "timedOut"
	| "crashed"
	| "outOfMemory"
	| "initFailed"
	/** The client went away before the answer. */
	| "hungUp";

export interface Tally extends Record<Ending, number> {
	wrong: number;
	/** The first of them, in words. */
	examples: string[];
}

interface Plan {
	ending: Ending;
	functionName: string;
	event: { do: string; index: number };
}

/**
 * Of a hundred, five hang, three crash, one runs out of memory and one's init fails: a tenth in all. Of the others, five
 * are their process's last ones, and one's caller goes away.
 */
function planOf(index: number): Plan {
	const plan = (ending: Ending, functionName: string, action: string) => ({
		ending,
		functionName,
		event: { do: action, index },
	});
	if (index % 20 === 7) return plan("timedOut", "static", "hang");
	if (index % 20 === 3) return plan("left", "static", "last");
	switch (index % 100) {
		case 13:
		case 33:
		case 53:
			return plan("crashed", "static", "exit");
		case 61:
			return plan("hungUp", "static", "hang");
		case 73:
			return plan("outOfMemory", "balloon", "memory");
		case 93:
			return plan("initFailed", "broken", "echo");
		default:
			return plan("answered", "static", "echo");
	}
}

/** What the answer's body shows, by the invocation's meant ending. */
const signs: Record<"timedOut" | "crashed" | "outOfMemory" | "initFailed", string> = {
	timedOut: '"errorType":"Sandbox.Timedout"',
	crashed: '"errorType":"Runtime.ExitError"',
	outOfMemory: '"errorType":"Runtime.OutOfMemory"',
	initFailed: "exit status 5",
};

/** Three functions: a static program, a shell that eats memory, and one whose init exits. */
export class Workload {
	readonly #daemon: LocalDaemon;
	readonly #images: { static: string; shell: string };

	static async prepare(daemon: LocalDaemon): Promise<Workload> {
		const images = { static: await pushStaticImage(daemon), shell: await pushShellRuntime(daemon, "soak-shell") };
		return new Workload(daemon, images);
	}

	private constructor(daemon: LocalDaemon, images: { static: string; shell: string }) {
		this.#daemon = daemon;
		this.#images = images;
	}

	async createFunctions(): Promise<void> {
		using control = new ControlPlane(this.#daemon);
		await control.create("static", this.#images.static, { timeoutS });
		// A shell takes more than a second until its text fills its memory, on a machine that does other things as well.
		await control.create("balloon", this.#images.shell, { timeoutS: 20 });
		await control.create("broken", this.#images.shell, { timeoutS: 20, variables: { INIT: "exit" } });
	}

	/** Their sandboxes end with them. */
	async deleteFunctions(): Promise<void> {
		using control = new ControlPlane(this.#daemon);
		for (const name of ["static", "balloon", "broken"]) await control.delete(name);
	}

	/** Invocations 0 to `count`, `clients` at a time; `onProgress` hears of each one's end. */
	async run(count: number, clients: number, onProgress: (tally: Tally) => void): Promise<Tally> {
		const tally: Tally = {
			answered: 0,
			left: 0,
			timedOut: 0,
			crashed: 0,
			outOfMemory: 0,
			initFailed: 0,
			hungUp: 0,
			wrong: 0,
			examples: [],
		};
		let next = 0;
		const work = Array.from({ length: clients }, async () => {
			let client = await SlipwayClient.open(this.#daemon);
			while (next < count) {
				const index = next++;
				const plan = planOf(index);
				const complaint = await invoke(client, plan).catch((error: unknown) => `${error}`);
				if (complaint === undefined) tally[plan.ending]++;
				else {
					tally.wrong++;
					if (tally.wrong <= shownWrong) tally.examples.push(`${JSON.stringify(plan)}: ${complaint}`);
				}
				if (complaint !== undefined || plan.ending === "hungUp") {
					client.close();
					client = await SlipwayClient.open(this.#daemon);
				}
				onProgress(tally);
			}
			client.close();
		});
		await Promise.all(work);
		return tally;
	}
}

/** What is wrong with the answer, or undefined. */
async function invoke(client: SlipwayClient, { ending, functionName, event }: Plan): Promise<string | undefined> {
	const request = client.invokeRequest(functionName, event);
	if (ending === "hungUp") {
		// The connection is closed by the caller of this, which the waiting side takes for an error.
		client.send(request).catch(() => {});
		return await sleep(hangUpMs, undefined);
	}
	const late = Promise.withResolvers<never>();
	const timer = setTimeout(() => late.reject(new Error(`no answer within ${answerMs / 1000} s`)), answerMs);
	try {
		const answer = await Promise.race([client.send(request), late.promise]);
		const body = String(answer.body);
		const failed = /^x-amz-function-error: *Unhandled\r?$/im.test(answer.head);
		const right =
			ending === "answered" || ending === "left"
				? !failed && body === JSON.stringify(event)
				: failed && body.includes(signs[ending]);
		return answer.status === 200 && right ? undefined : `${answer.status} ${body.slice(0, 200)}`;
	} finally {
		clearTimeout(timer);
	}
}
