import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { signedRequest } from "../../bench/http-connection.ts";
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
	/** Answered in parts. */
	| "streamed"
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
 * Of a hundred, five hang, five crash, one of them beside an extension and one in a sandbox that is provisioned, one runs out of memory and one's init fails. Of the others, five
 * are their process's last ones, one is streamed, and one's caller goes away.
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
		case 31:
			return plan("crashed", "extended", "exit");
		case 91:
			return plan("crashed", "provisioned:live", "exit");
		case 11:
		case 21:
			return plan("answered", "extended", "echo");
		case 71:
		case 81:
			return plan("answered", "provisioned:live", "echo");
		case 51:
			return plan("answered", "static:stable", "echo");
		case 41:
			return plan("streamed", "streaming", "stream");
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

interface WorkloadImages {
	static: string;
	shell: string;
	/** The shell, with an extension. */
	extended: string;
}

const functionNames = ["static", "balloon", "broken", "extended", "streaming", "provisioned"];

/** A static program, a shell that eats memory, one whose init exits, and what versions, extensions and streams add to that. */
export class Workload {
	readonly #daemon: LocalDaemon;
	readonly #images: WorkloadImages;

	static async prepare(daemon: LocalDaemon): Promise<Workload> {
		const extension = await readFile(join(import.meta.dirname, "../e2e/fixtures/extension.sh"));
		const images = {
			static: await pushStaticImage(daemon),
			shell: await pushShellRuntime(daemon, "soak-shell"),
			extended: await pushShellRuntime(daemon, "soak-extended", {}, { "opt/extensions/watcher": extension }),
		};
		return new Workload(daemon, images);
	}

	private constructor(daemon: LocalDaemon, images: WorkloadImages) {
		this.#daemon = daemon;
		this.#images = images;
	}

	async createFunctions(): Promise<void> {
		using control = new ControlPlane(this.#daemon);
		await control.create("static", this.#images.static, { timeoutS });
		await control.publish("static", "stable");
		// A shell takes more than a second until its text fills its memory, on a machine that does other things as well.
		await control.create("balloon", this.#images.shell, { timeoutS: 20 });
		await control.create("broken", this.#images.shell, { timeoutS: 20, variables: { INIT: "exit" } });
		await control.create("extended", this.#images.extended, { timeoutS: 20 });
		await control.create("streaming", this.#images.shell, { timeoutS: 20 });
		await control.create("provisioned", this.#images.static, { timeoutS });
		await control.publish("provisioned", "live");
		await control.provision("provisioned", "live", 2);
	}

	/** Their sandboxes end with them. */
	async deleteFunctions(): Promise<void> {
		using control = new ControlPlane(this.#daemon);
		for (const name of functionNames) await control.delete(name);
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
			streamed: 0,
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
				const complaint = await invoke(this.#daemon, client, plan).catch((error: unknown) => `${error}`);
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
async function invoke(
	daemon: LocalDaemon,
	client: SlipwayClient,
	{ ending, functionName, event }: Plan,
): Promise<string | undefined> {
	const request =
		ending === "streamed" ? streamRequest(daemon, functionName, event) : client.invokeRequest(functionName, event);
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
		return answer.status === 200 && isRight(ending, event, body, failed)
			? undefined
			: `${answer.status} ${body.slice(0, 200)}`;
	} finally {
		clearTimeout(timer);
	}
}

function streamRequest({ url, region, credentials }: LocalDaemon, functionName: string, event: Plan["event"]): Buffer {
	const path = `/2021-11-15/functions/${functionName}/response-streaming-invocations`;
	return signedRequest({ url, method: "POST", path, body: JSON.stringify(event), region }, credentials);
}

function isRight(ending: Exclude<Ending, "hungUp">, event: Plan["event"], body: string, failed: boolean): boolean {
	switch (ending) {
		case "answered":
		case "left":
			return !failed && body === JSON.stringify(event);
		case "streamed":
			// Each in an event of its own, in binary (smithy.io, "Amazon Event Stream Specification").
			return /one.*two.*six.*InvokeComplete/s.test(body);
		default:
			return failed && body.includes(signs[ending]);
	}
}
