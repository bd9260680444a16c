import type { Progress } from "../client/schema.ts";
import { formatBytes } from "./format.ts";

const barWidth = 24;

/** One bar a stage on a terminal, drawn over; elsewhere one plain line when a stage begins and one when it is done. */
export class ProgressBars implements Disposable {
	readonly #out: NodeJS.WriteStream;
	readonly #stages = new Map<string, Progress>();
	#drawn = 0;

	constructor(out: NodeJS.WriteStream) {
		this.#out = out;
	}

	update(progress: Progress): void {
		const key = `${progress.stage} ${progress.digest ?? ""}`;
		const before = this.#stages.get(key);
		this.#stages.set(key, progress);
		if (this.#out.isTTY) return this.#draw();
		if (!before) this.#out.write(`${label(progress)}: started, ${formatBytes(progress.total)}\n`);
		if (complete(progress) && !(before && complete(before)))
			this.#out.write(`${label(progress)}: done, ${formatBytes(progress.done)}\n`);
	}

	#draw(): void {
		if (this.#drawn > 0) this.#out.moveCursor(0, -this.#drawn);
		for (const progress of this.#stages.values()) {
			this.#out.cursorTo(0);
			this.#out.write(barLine(progress));
			this.#out.clearLine(1);
			this.#out.write("\n");
		}
		this.#drawn = this.#stages.size;
	}

	/** Bars go: what they led to is printed next. */
	[Symbol.dispose](): void {
		if (!this.#out.isTTY || this.#drawn === 0) return;
		this.#out.moveCursor(0, -this.#drawn);
		this.#out.cursorTo(0);
		this.#out.clearScreenDown();
		this.#drawn = 0;
	}
}

function complete({ done, total }: Progress): boolean {
	return total > 0 && done >= total;
}

function label({ stage, digest }: Progress): string {
	return digest ? `${stage} ${digest.slice("sha256:".length, "sha256:".length + 12)}` : stage;
}

export function barLine(progress: Progress): string {
	const { done, total } = progress;
	const share = total > 0 ? Math.min(1, done / total) : 0;
	const filled = Math.round(share * barWidth);
	const amount = total > 0 ? `${formatBytes(done)} of ${formatBytes(total)}` : formatBytes(done);
	return `${label(progress).padEnd(20)} [${"#".repeat(filled)}${"-".repeat(barWidth - filled)}] ${String(Math.floor(share * 100)).padStart(3)} %  ${amount}`;
}
