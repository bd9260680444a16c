import { SlipwayError } from "../../base/error.ts";
import { laneOf, lanePrefixes } from "../../core/delivery/lane-name.ts";
import { defaultBus } from "./types.ts";

export interface Place {
	region: string;
	/** 12 digits. */
	accountId: string;
}

export function busArn({ region, accountId }: Place, bus: string): string {
	return `arn:aws:events:${region}:${accountId}:event-bus/${bus}`;
}

/** The default bus is not named in its rules' ARNs. */
export function ruleArn({ region, accountId }: Place, bus: string, rule: string): string {
	return `arn:aws:events:${region}:${accountId}:rule/${bus === defaultBus ? rule : `${bus}/${rule}`}`;
}

export function archiveArn({ region, accountId }: Place, archive: string): string {
	return `arn:aws:events:${region}:${accountId}:archive/${archive}`;
}

export function replayArn({ region, accountId }: Place, replay: string): string {
	return `arn:aws:events:${region}:${accountId}:replay/${replay}`;
}

/** Undefined for an ARN that is no bus's of this place. */
export function busOfArn({ region, accountId }: Place, arn: string): string | undefined {
	const [, where, whose, name] = /^arn:aws:events:([^:]*):(\d{12}):event-bus\/([\w./-]{1,256})$/.exec(arn) ?? [];
	return where === region && whose === accountId ? name : undefined;
}

/** "NAME" or an ARN of this place's; INVALID otherwise. */
export function busName(place: Place, nameOrArn: string | undefined): string {
	if (nameOrArn === undefined) return defaultBus;
	if (!nameOrArn.startsWith("arn:")) return nameOrArn;
	const name = busOfArn(place, nameOrArn);
	if (name !== undefined) return name;
	throw new SlipwayError("INVALID", `'${nameOrArn.slice(0, 300)}' is not the ARN of an event bus of this installation`);
}

/** Names have no characters that would mix them up: buses may have slashes, rules and targets not. */
export function targetLane(bus: string, rule: string, target: string): string {
	return `events/${bus}/${rule}/${target}`;
}

export function readTargetLane(lane: string): { bus: string; rule: string; target: string } | undefined {
	const [, bus, rule, target] = /^events\/(.+)\/([^/]+)\/([^/]+)$/.exec(lane) ?? [];
	return bus !== undefined && rule !== undefined && target !== undefined ? { bus, rule, target } : undefined;
}

/** Events of the bus with more targets than one commit has room for. */
export function fanOutLane(bus: string): string {
	return laneOf({ kind: "bus", name: bus });
}

export function busOfFanOutLane(lane: string): string {
	return lane.slice(lanePrefixes.bus.length);
}

export function archiveLane(archive: string): string {
	return `archive/${archive}`;
}
