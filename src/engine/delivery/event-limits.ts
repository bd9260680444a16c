/** How many events may run at once. Pure. */

/** How a user of the machine, or all of them together, did since the last look. */
export interface EventLoad {
	/** Events at once now. */
	limit: number;
	/** The most that there may ever be. */
	max: number;
	/** More events were ready than `limit` let in. */
	backlog: boolean;
	/** An event found no concurrency. */
	throttled: boolean;
	/** CPUs of the machine, and how many of them had nothing to do; undefined where it is not known. */
	cpus: number;
	idleCpus: number | undefined;
}

/** Part of the machine's CPUs that has to be idle for more sandboxes to be of use. */
const idlePart = 0.1;
/** Events at once for each CPU, on a busy machine, too: functions that wait for others need some. */
const busyPerCpu = 4;

/** To this many for each CPU events of all functions together grow one by one on a busy machine: more would only run into their timeouts. */
const slowlyPerCpu = 8;

/** Events at once, of all functions together, when a backlog begins. */
export function firstTotal(cpus: number): number {
	return cpus * busyPerCpu;
}

/**
 * Events at once from now on: half after a throttle; while there is a backlog twice as many up to a few for each CPU, and beyond
 * them half as many again, if the CPUs have time left.
 */
export function nextLimit({ limit, max, backlog, throttled, cpus, idleCpus }: EventLoad): number {
	if (throttled) return Math.max(1, Math.min(max, Math.floor(limit / 2)));
	if (!backlog) return Math.max(1, Math.min(limit, max));
	const few = firstTotal(cpus);
	const next = limit < few ? Math.min(limit * 2, few) : isBusy(cpus, idleCpus) ? limit : limit + Math.floor(limit / 2);
	return Math.max(1, Math.min(max, next));
}

/** Of all functions together, which have a backlog. `starting`: cold starts under way, or waiting for their turn. */
export function nextTotal(load: Pick<EventLoad, "limit" | "max" | "cpus" | "idleCpus">, starting: number): number {
	const { limit, max, cpus, idleCpus } = load;
	// More sandboxes would only wait behind these.
	if (starting >= cpus) return Math.min(limit, max);
	// Slower than one function alone: each of these places may cost a cold start, of which the CPUs tell afterwards only.
	if (!isBusy(cpus, idleCpus)) return Math.min(max, limit + Math.max(1, Math.floor(limit / 4)));
	return Math.min(max, limit >= cpus * slowlyPerCpu ? limit : limit + 1);
}

function isBusy(cpus: number, idleCpus: number | undefined): boolean {
	return idleCpus === undefined || idleCpus < cpus * idlePart;
}
