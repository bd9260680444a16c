import { type Ids, timeOrderedUuid } from "../../base/ids.ts";
import type { Append } from "../../core/message-log/message-log.ts";
import type { Catalog } from "./catalog.ts";
import { archiveLane, targetLane } from "./names.ts";
import type { Envelope, EventHeaders } from "./types.ts";

export interface RouteOptions {
	/** Only to these rules, and to no archive: a replay. */
	replay?: { rules: readonly string[] | undefined };
	/** For what may be routed again after a kill: a target's lane takes it once. */
	key?: NonNullable<Append["deduplication"]>;
}

/** One append for each target of each rule that matches, and for each archive. */
export function route(
	{ catalog, ids }: { catalog: Catalog; ids: Pick<Ids, "hex"> },
	bus: string,
	envelope: Envelope,
	headers: EventHeaders,
	{ replay, key }: RouteOptions = {},
): Append[] {
	const matched = catalog.match(bus, envelope.value);
	const rules = replay?.rules ? matched.rules.filter((rule) => replay.rules?.includes(rule)) : matched.rules;
	const lanes = rules.flatMap((rule) => targetLanes(catalog, bus, rule));
	if (!replay) lanes.push(...matched.archives.map(archiveLane));
	const body = Buffer.from(envelope.text);
	return lanes.map((lane) => ({
		change: "append",
		lane,
		id: timeOrderedUuid(headers.ingestedMs, ids),
		correlation: envelope.id,
		body,
		headers: { ...headers },
		...(key && { deduplication: key }),
	}));
}

export function targetLanes(catalog: Catalog, bus: string, rule: string): string[] {
	const targets = catalog.findRule(bus, rule)?.targets.keys() ?? [];
	return [...targets].map((target) => targetLane(bus, rule, target));
}
