/** What a verb is: options with their descriptions, examples, and the function that does it. */
import type { ParseArgsOptionDescriptor } from "node:util";
import type { Context } from "./context.ts";

export interface Option extends ParseArgsOptionDescriptor {
	description: string;
	/** Name of the value in the help, for options that take one. */
	value?: string;
}

export interface Call {
	context: Context;
	values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;
	positionals: readonly string[];
}

export interface Verb {
	/** After `slipway`: `invoke NAME [options]`. */
	usage: string;
	summary: string;
	/** Further paragraphs of the help. */
	details?: string;
	/** Least and most positional arguments. */
	positionals: readonly [min: number, max: number];
	options: Readonly<Record<string, Option>>;
	/** Command and what it does. */
	examples: readonly (readonly [string, string])[];
	/** Resolves with the exit code, 0 by default. */
	run: (call: Call) => Promise<number | undefined>;
}

/** Documented in `slipway help`; scripts may rely on them. */
export const exitCodes = {
	ok: 0,
	failed: 1,
	usage: 2,
	/** The function was invoked and answered with an error. */
	functionError: 3,
	notFound: 4,
	noDaemon: 5,
} as const;

export const jsonOption = { json: { type: "boolean", description: "Print JSON" } } as const satisfies Record<
	string,
	Option
>;

export function text(value: Call["values"][string]): string | undefined {
	return typeof value === "string" ? value : undefined;
}
