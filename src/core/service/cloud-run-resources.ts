/** Which CPU and memory go together on Cloud Run (https://cloud.google.com/run/docs/configuring/services/{cpu,memory-limits}). */
import { at, type FieldProblems } from "./field-problems.ts";
import type { Container } from "./knative.ts";
import { parseQuantity } from "./quantity.ts";
import type { Annotations } from "./service-annotations.ts";

const gibibyte = 2 ** 30;
/** Whole CPUs that a container may have. */
const wholeCpus = [1, 2, 4, 6, 8];
/** The least part of one, in steps of a thousandth. */
const leastCpu = 0.08;

interface MemoryRange {
	/** Up to so many CPUs; `below`: less than that. */
	cpus: number;
	below?: true;
	leastGiB: number;
	mostGiB: number;
}

/** Of an instance, all containers together; ascending. */
const memoryRanges: readonly MemoryRange[] = [
	{ cpus: 0.5, below: true, leastGiB: 0, mostGiB: 0.5 },
	{ cpus: 1, below: true, leastGiB: 0, mostGiB: 1 },
	{ cpus: 1, leastGiB: 0, mostGiB: 4 },
	{ cpus: 2, leastGiB: 0, mostGiB: 8 },
	{ cpus: 4, leastGiB: 2, mostGiB: 16 },
	{ cpus: 6, leastGiB: 4, mostGiB: 24 },
	{ cpus: 8, leastGiB: 4, mostGiB: 32 },
];

const path = "spec.template.spec.containers";

/** Containers with their limits, defaults written. */
export function checkCloudRunResources(
	containers: readonly Container[],
	template: Annotations,
	problems: FieldProblems,
): void {
	const amounts = (name: "cpu" | "memory") =>
		containers.map(({ resources }) => parseQuantity(resources?.limits?.[name] ?? "") ?? Number.NaN);
	const [cpus, memory] = [amounts("cpu"), amounts("memory")];
	// What is no quantity has been told already.
	if ([...cpus, ...memory].some(Number.isNaN)) return;
	const limit = (index: number, name: string) => at(at(at(path, index), "resources.limits"), name);
	for (const [index, count] of cpus.entries())
		if (!wholeCpus.includes(count) && !(count >= leastCpu && count < 1))
			problems.invalid(
				containers[index]?.resources?.limits?.cpu,
				limit(index, "cpu"),
				`must be from ${leastCpu} to 0.999, or one of ${wholeCpus.join(", ")}`,
			);
	const total = sum(cpus);
	const all = (name: string) => containers.map((_container, index) => limit(index, name));
	const range = memoryRanges.find(({ cpus: most, below }) => (below ? total < most : total <= most));
	if (!range) return problems.add(`expected ${total} <= 8`, all("cpu"), "of all containers together");
	checkMemory(sum(memory) / gibibyte, range, { total, paths: all("memory"), containers }, problems);
	checkPartOfCpu(total, template, problems);
}

function checkMemory(
	gib: number,
	{ leastGiB, mostGiB }: MemoryRange,
	of: { total: number; paths: string[]; containers: readonly Container[] },
	problems: FieldProblems,
): void {
	if (gib >= leastGiB && gib <= mostGiB) return;
	const allowed = leastGiB > 0 ? `from ${shownGiB(leastGiB)} to ${shownGiB(mostGiB)}` : `at most ${shownGiB(mostGiB)}`;
	const values = of.containers.map(({ resources }) => resources?.limits?.memory).join(" + ");
	const together = of.containers.length > 1 ? " in all containers together" : "";
	problems.add(`invalid value: ${values}`, of.paths, `must be ${allowed} with ${of.total} CPU${together}`);
}

/** Less than one CPU is for requests alone, on the first generation of execution environments. */
function checkPartOfCpu(total: number, template: Annotations, problems: FieldProblems): void {
	if (total >= 1) return;
	for (const [key, allowed] of [
		["run.googleapis.com/cpu-throttling", "true"],
		["run.googleapis.com/execution-environment", "gen1"],
	] as const) {
		const value = template[key];
		if (value !== undefined && value !== allowed)
			problems.invalid(
				value,
				at("spec.template.metadata.annotations", key),
				`must be "${allowed}" with less than one CPU`,
			);
	}
}

function shownGiB(gib: number): string {
	return gib < 1 ? `${gib * 1024}Mi` : `${gib}Gi`;
}

function sum(numbers: readonly number[]): number {
	return Number(numbers.reduce((total, one) => total + one, 0).toFixed(3));
}
