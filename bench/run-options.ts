/** What every measure is told. */
export interface RunOptions {
	/** A tenth of the samples. */
	quick: boolean;
}

/** The number of samples: fewer for a quick run, and never so few that there is no median. */
export function samples({ quick }: RunOptions, full: number): number {
	return quick ? Math.max(Math.min(full, 3), Math.ceil(full / 10)) : full;
}

/** MiB of a function that has two CPUs, as a process outside of any sandbox does. */
export const twoCpusMiB = 2 * 1769;

export async function timed(task: () => PromiseLike<unknown>): Promise<number> {
	const started = performance.now();
	await task();
	return performance.now() - started;
}
