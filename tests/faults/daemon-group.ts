/** A control group for a daemon alone, so that a test can take memory or process ids from it and from nobody else. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = "/sys/fs/cgroup";
/** Of what is in use. Below a tenth of the limit the daemon takes memory for short. */
const spareShare = 0.09;

export class DaemonGroup implements Disposable {
	readonly #memory: string;
	readonly #pids: string;
	readonly #version2 = existsSync(join(root, "cgroup.controllers"));

	constructor(name = `slipway-test-${process.pid}`) {
		[this.#memory, this.#pids] = this.#version2
			? [join(root, name), join(root, name)]
			: [join(root, "memory", name), join(root, "pids", name)];
		for (const folder of this.#folders) mkdirSync(folder);
	}

	get #folders(): Set<string> {
		return new Set([this.#memory, this.#pids]);
	}

	/** For `startDaemon`: has the daemon begin in this group. */
	get prefix(): string[] {
		const enter = [...this.#folders].map((folder) => `echo $$ >'${folder}/cgroup.procs'`).join("; ");
		return ["sh", "-c", `${enter}; exec "$@"`, "sh"];
	}

	/** Tasks, threads among them, that the daemon may have beside those that it has now; without a number as many as it likes. */
	limitTasks(more?: number): void {
		const now = Number(readFileSync(join(this.#pids, "pids.current"), "utf8"));
		writeFileSync(join(this.#pids, "pids.max"), more === undefined ? "max" : `${now + more}`);
	}

	/** How often a fork was refused. */
	get refusedTasks(): number {
		return Number(/^max (\d+)/m.exec(readFileSync(join(this.#pids, "pids.events"), "utf8"))?.[1]);
	}

	/** Bytes that its memory may grow by from now on; without a number by as much as there is. */
	limitMemory(more?: number): void {
		const [usage, limit] = this.#version2
			? ["memory.current", "memory.max"]
			: ["memory.usage_in_bytes", "memory.limit_in_bytes"];
		const now = Number(readFileSync(join(this.#memory, usage), "utf8"));
		const none = this.#version2 ? "max" : "-1";
		writeFileSync(join(this.#memory, limit), more === undefined ? none : `${now + more}`);
	}

	/** The limit that leaves it so little that it gives back what it can do without, and enough to live. */
	makeMemoryShort(): void {
		const stat = readFileSync(join(this.#memory, "memory.stat"), "utf8");
		const cache = Number(/^(?:total_)?inactive_file (\d+)$/m.exec(stat)?.[1]);
		const usage = this.#version2 ? "memory.current" : "memory.usage_in_bytes";
		const used = Number(readFileSync(join(this.#memory, usage), "utf8")) - cache;
		this.limitMemory(Math.round(used * spareShare) - cache);
	}

	/** The daemon has ended by then. */
	[Symbol.dispose](): void {
		for (const folder of this.#folders) {
			const left = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
			if (left.length > 0) throw new Error(`Control groups below ${folder}: ${left.map(({ name }) => name)}`);
			rmdirSync(folder);
		}
	}
}
