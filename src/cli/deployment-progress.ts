import type { DeploymentProgress } from "../client/service-schema.ts";
import { formatBytes } from "./format.ts";
import { barLine } from "./progress.ts";
import { shortImage } from "./workload-verbs.ts";

/** What is being done for a revision that is not ready yet, in a line. */
export function describeDeployment({ stage, revision, image, total }: DeploymentProgress): string {
	if (stage === "queue") return `${revision} waits for other deployments`;
	if (stage === "start") return `${revision} is starting`;
	const verb = { resolve: "resolving", pull: "pulling", unpack: "unpacking" }[stage];
	return `${verb} ${shortImage(image)}${total > 0 ? `, ${formatBytes(total)}` : ""}`;
}

/** Of a terminal that does not tell its size. */
const unknownColumns = 80;
/** Where lines can't be drawn over: how often it is told how far a step is, milliseconds. */
const tellAgainMs = 10_000;

/**
 * Lines about a deployment: on a terminal the last one is drawn over as it goes on, elsewhere there is one for each step and, of a long
 * step, one in a while. Both show amounts, and the last log line of what is starting.
 */
export class DeploymentLines implements Disposable {
	readonly #out: NodeJS.WriteStream;
	readonly #now: () => number;
	#progress: DeploymentProgress | undefined;
	#stepAt = 0;
	#log = "";
	#toldAt = 0;
	#drawn = false;

	constructor(out: NodeJS.WriteStream, now: () => number = Date.now) {
		this.#out = out;
		this.#now = now;
	}

	update(progress: DeploymentProgress): void {
		const before = this.#progress;
		this.#progress = progress;
		if (before?.stage !== progress.stage || before.image !== progress.image) {
			this.#stepAt = this.#now();
			this.#toldAt = this.#stepAt;
			if (!this.#out.isTTY) this.#out.write(`${describeDeployment(progress)}\n`);
		}
		this.draw();
	}

	/** The container has written a line. */
	log(message: string): void {
		this.#log = message.trim();
	}

	/** A line that stays. */
	print(line: string): void {
		this.#clear();
		this.#out.write(`${line}\n`);
	}

	/** To be called again and again: its clock moves. */
	draw(): void {
		if (!this.#progress) return;
		const line = this.#line(this.#progress);
		if (this.#out.isTTY) {
			this.#clear();
			// A line that wraps could not be drawn over.
			this.#out.write(line.slice(0, (this.#out.columns || unknownColumns) - 1));
			this.#drawn = true;
		} else if (this.#now() - this.#toldAt >= tellAgainMs) {
			this.#out.write(`${line}\n`);
			this.#toldAt = this.#now();
		}
	}

	#line(progress: DeploymentProgress): string {
		const { stage, image, done, total } = progress;
		if ((stage === "pull" || stage === "unpack") && total > 0)
			return `${barLine({ stage, done, total })}  ${shortImage(image)}`;
		const log = stage === "start" && this.#log !== "" ? `: ${this.#log}` : "";
		return `${describeDeployment(progress)}, ${Math.round((this.#now() - this.#stepAt) / 1000)} s${log}`;
	}

	[Symbol.dispose](): void {
		this.#clear();
	}

	#clear(): void {
		if (this.#drawn) {
			this.#out.cursorTo(0);
			this.#out.clearLine(1);
		}
		this.#drawn = false;
	}
}
