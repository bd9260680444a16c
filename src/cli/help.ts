import { table } from "./format.ts";
import type { Verb } from "./verb.ts";
import type { Entry } from "./verbs.ts";

export function overview(verbs: readonly Entry[]): string {
	const rows = verbs.map(({ name, summary }) => [`  ${name}`, summary]);
	return `usage: slipway VERB [options]

${table(["Verbs", ""], rows)}

\`slipway VERB --help\` explains a verb, with examples; \`slipway help config\` lists the daemon's settings.
Every verb takes --home FOLDER (SLIPWAY_HOME) and, where it prints anything, --json.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the function answered with an error, 4 not found, 5 no daemon answers.
`;
}

export function verbHelp(name: string, verb: Verb): string {
	const options = Object.entries({
		...verb.options,
		home: {
			type: "string",
			value: "FOLDER",
			description: "Folder of the daemon's state (SLIPWAY_HOME)",
			short: undefined,
		},
		help: { type: "boolean", description: "Show this", short: "h", value: undefined },
	} as Verb["options"]).map(([option, { short, value, description, type }]) => [
		`  ${short ? `-${short}, ` : "    "}--${option}${type === "string" ? ` ${value ?? "VALUE"}` : ""}`,
		description,
	]);
	const examples = verb.examples.map(([command, what]) => [`  ${command}`, what]);
	return [
		`usage: slipway ${verb.usage}`,
		`${verb.summary}.${verb.details ? `\n\n${verb.details}` : ""}`,
		table(["Options", ""], options),
		...(examples.length > 0 ? [table(["Examples", ""], examples)] : []),
		...(name === "up" ? ["`slipway help config` lists every setting."] : []),
	]
		.join("\n\n")
		.concat("\n");
}

/** The daemon tells of its own settings, so that the list is the one it reads. */
export async function configurationHelp(): Promise<string> {
	const { describeConfiguration } = await import("./daemon-process.ts");
	const rows = await describeConfiguration();
	return `${rows.map(({ name, description, default: value }) => `${name}\n    ${description}\n    default: ${value}`).join("\n")}\n`;
}
