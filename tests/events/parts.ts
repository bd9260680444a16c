/** The parts of the suite. Clauses make what they need, under names of their own, in one daemon for all. */
import { asynchronousClauses } from "./asynchronous.ts";
import { busClauses } from "./bus.ts";
import { cliClauses } from "./cli.ts";
import { cloudEventClauses } from "./cloud-events.ts";
import { insideClauses } from "./inside.ts";
import { loopClauses } from "./loops.ts";
import { mappingClauses } from "./mappings.ts";
import { pythonClauses } from "./python.ts";
import { queueClauses } from "./queues.ts";
import { scheduleClauses } from "./schedules.ts";
import type { Clause } from "./world.ts";

const parts: Record<string, readonly Clause[]> = {
	inside: insideClauses,
	asynchronous: asynchronousClauses,
	queues: queueClauses,
	mappings: mappingClauses,
	bus: busClauses,
	"cloud-events": cloudEventClauses,
	schedules: scheduleClauses,
	loops: loopClauses,
	python: pythonClauses,
	cli: cliClauses,
};

export const partNames = Object.keys(parts);

/** Names of parts, with commas between them; all where it is not set. */
export const partsVariable = "SLIPWAY_EVENTS_PARTS";

export function chosenParts(): [string, readonly Clause[]][] {
	const wanted = process.env[partsVariable]?.split(",");
	return Object.entries(parts).filter(([name]) => wanted?.includes(name) ?? true);
}
