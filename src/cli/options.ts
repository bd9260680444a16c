/** Values of options that several verbs share, read and checked. */
import { SlipwayError } from "../base/error.ts";
import { parseDuration } from "./format.ts";
import { type Call, text, type Verb } from "./verb.ts";

type Value = Call["values"][string];

export const namespaceOption = {
	namespace: { type: "string", short: "n", value: "NAME", description: "Namespace (default)" },
} as const satisfies Verb["options"];

export const listOptions = {
	namespace: { type: "string", short: "n", value: "NAME", description: "Only this namespace" },
	json: { type: "boolean", description: "Print JSON" },
} as const satisfies Verb["options"];

export const envOption = {
	env: {
		type: "string",
		short: "e",
		multiple: true,
		value: "KEY=VALUE",
		description: "Environment variable; repeatable",
	},
} as const satisfies Verb["options"];

export const commandOptions = {
	command: {
		type: "string",
		multiple: true,
		value: "WORD",
		description: "Program in the place of the image's; repeatable",
	},
	args: {
		type: "string",
		multiple: true,
		value: "WORD",
		description: "Argument in the place of the image's; repeatable",
	},
} as const satisfies Verb["options"];

export const volumeOption = {
	volume: {
		type: "string",
		multiple: true,
		value: "CLAIM:PATH",
		description: "Files at PATH outlive the instance, in the daemon's volume CLAIM; repeatable",
	},
} as const satisfies Verb["options"];

export function namespaceOf({ values }: Pick<Call, "values">): string {
	return text(values.namespace) ?? "default";
}

export function usage(message: string, hint?: string): SlipwayError {
	return new SlipwayError("INVALID", message, { reason: "Usage", ...(hint !== undefined && { hint }) });
}

export function integerOf(option: string, value: Value): number | undefined {
	const given = text(value);
	if (given === undefined) return undefined;
	if (/^\d{1,6}$/.test(given)) return Number(given);
	throw usage(`--${option} is '${given}': it must be a whole number`);
}

export function secondsOf(option: string, value: Value): number | undefined {
	const given = text(value);
	if (given === undefined) return undefined;
	const ms = parseDuration(given);
	if (ms !== undefined && ms >= 1000 && ms % 1000 === 0) return ms / 1000;
	throw usage(`--${option} is '${given}': it must be whole seconds, such as 30s, 5m or 300`);
}

export function listOf(value: Value): string[] {
	return Array.isArray(value) ? value.map(String) : [];
}

/** `a,b,c`, and the option may be repeated. */
export function wordsOf(value: Value): string[] {
	const given = typeof value === "string" ? [value] : listOf(value);
	return given.flatMap((one) => one.split(",")).filter((word) => word !== "");
}

export function pairsOf(option: string, value: Value): { name: string; value: string }[] {
	return listOf(value).map((pair) => {
		const [, name, given] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
		if (name !== undefined && given !== undefined) return { name, value: given };
		throw usage(`--${option} is '${pair}': it must be KEY=VALUE`);
	});
}

/** Kubernetes' volumes and mounts of `--volume CLAIM:PATH[:ro]`; a volume has its claim's name. */
export function volumesOf(value: Value) {
	const mounts = listOf(value).map((given) => {
		const [, name = "", mountPath = "", readOnly] = /^([^:]+):(\/[^:]*)(:ro)?$/.exec(given) ?? [];
		if (name === "") throw usage(`--volume is '${given}': it must be CLAIM:/PATH or CLAIM:/PATH:ro`);
		return { name, mountPath, ...(readOnly && { readOnly: true }) };
	});
	const claims = [...new Set(mounts.map(({ name }) => name))];
	return { mounts, volumes: claims.map((name) => ({ name, persistentVolumeClaim: { claimName: name } })) };
}

/** Last wins; the order of the first. */
export function mergePairs<T extends { name: string }>(before: readonly T[], changes: readonly T[]): T[] {
	return [...new Map([...before, ...changes].map((one) => [one.name, one])).values()];
}
