/** Arguments -> verb -> exit code. */
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { isSlipwayError, SlipwayError, systemCode } from "../base/error.ts";
import { Context } from "./context.ts";
import { paint } from "./format.ts";
import { configurationHelp, overview, verbHelp } from "./help.ts";
import { exitCodes, text, type Verb } from "./verb.ts";
import { type Entry, verbs } from "./verbs.ts";

/** Of every verb. */
const commonOptions = {
	help: { type: "boolean", short: "h" },
	home: { type: "string" },
} as const;

export async function runCommand(args: readonly string[]): Promise<number> {
	// `slipway logs | head` closes our output early: that is its right, and no failure.
	process.stdout.on("error", (error) => {
		if (systemCode(error) !== "EPIPE") throw error;
		process.exit();
	});
	try {
		return await dispatch(args);
	} catch (error) {
		return explain(error);
	}
}

async function dispatch(args: readonly string[]): Promise<number> {
	const [first = "help", second] = args;
	if (first === "--version" || first === "-V") return dispatch(["version"]);
	if (first === "help" || first === "--help" || first === "-h") return help(args.slice(1));
	const entry = findEntry(first, second);
	if (!entry) return unknown(first, second);
	const verb = await entry.load();
	const rest = args.slice(entry.name.split(" ").length);
	const { values, positionals } = parse(entry, verb, rest);
	const context = new Context(text(values.home));
	if (values.help) {
		context.out.write(verbHelp(entry.name, verb));
		return exitCodes.ok;
	}
	const [min, max] = verb.positionals;
	if (positionals.length < min || positionals.length > max)
		throw usage(
			entry.name,
			positionals.length < min ? "An argument is missing" : `'${positionals[max]}' is one argument too many`,
			verb,
		);
	return (await verb.run({ context, values, positionals })) ?? exitCodes.ok;
}

function findEntry(first: string, second: string | undefined): Entry | undefined {
	return verbs.find(({ name }) => name === first || name === `${first} ${second}`);
}

function parse(entry: Entry, verb: Verb, args: readonly string[]) {
	const options: ParseArgsOptionsConfig = { ...commonOptions };
	for (const [name, { type, short, multiple }] of Object.entries(verb.options))
		options[name] = { type, ...(short && { short }), ...(multiple && { multiple }) };
	try {
		return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
	} catch (error) {
		// Node's sentence names the option; what follows it is advice about `--` that seldom fits.
		throw usage(entry.name, (error as Error).message.split(". ")[0]!, verb);
	}
}

function usage(name: string, message: string, verb: Verb): SlipwayError {
	return new SlipwayError("INVALID", `${message}\nusage: slipway ${verb.usage}`, {
		reason: "Usage",
		hint: `\`slipway ${name} --help\` explains it`,
	});
}

async function help(args: readonly string[]): Promise<number> {
	const [first, second] = args;
	if (first === undefined) process.stdout.write(overview(verbs));
	else if (first === "config") process.stdout.write(await configurationHelp());
	else {
		const entry = findEntry(first, second);
		if (entry) process.stdout.write(verbHelp(entry.name, await entry.load()));
		else {
			const group = verbs.filter(({ name }) => name.startsWith(`${first} `));
			if (group.length === 0) return unknown(first, second);
			process.stdout.write(overview(group));
		}
	}
	return exitCodes.ok;
}

/** `functoin ls` and `function sl` both mean `function ls`; a group alone lists its verbs. */
function unknown(first: string, second: string | undefined): never {
	const group = verbs
		.filter(({ name }) => name.startsWith(`${first} `))
		.map(({ name }) => name.slice(first.length + 1));
	if (group.length > 0 && second === undefined)
		throw new SlipwayError("INVALID", `'${first}' needs a verb: ${group.join(", ")}`, {
			reason: "Usage",
			hint: `\`slipway help ${first}\` explains them`,
		});
	const names = verbs.map(({ name }) => name);
	const both = second === undefined ? first : `${first} ${second}`;
	const wanted = closest(both, names) ?? closest(first, names);
	throw new SlipwayError("INVALID", `'${group.length > 0 ? both : first}' is not a command`, {
		reason: "Usage",
		hint: wanted ? `Did you mean \`slipway ${wanted}\`?` : "`slipway help` lists the commands",
	});
}

/** The name with the fewest edits, when that is not more than a third of it; a name that it is the beginning of wins. */
export function closest(word: string, names: readonly string[]): string | undefined {
	const ranked = names
		.map((name) => ({ name, edits: name.startsWith(word) ? 0 : distance(word, name) }))
		.sort((a, b) => a.edits - b.edits);
	const best = ranked[0];
	return best && best.edits <= Math.max(2, best.name.length / 3) ? best.name : undefined;
}

/** Levenshtein, one row at a time. */
function distance(a: string, b: string): number {
	let row = Array.from({ length: b.length + 1 }, (_, index) => index);
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++)
			next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
		row = next;
	}
	return row[b.length]!;
}

function explain(error: unknown): number {
	const color = process.stderr.isTTY === true && !process.env.NO_COLOR;
	const known = isSlipwayError(error);
	const message = known ? error.message : `Internal error: ${error instanceof Error ? error.stack : String(error)}`;
	process.stderr.write(`${paint(color, "red", "slipway:")} ${message}\n`);
	if (known && error.hint) process.stderr.write(`${paint(color, "cyan", "hint:")} ${error.hint}\n`);
	if (!known) return exitCodes.failed;
	if (error.reason === "Usage") return exitCodes.usage;
	if (error.reason === "NoDaemon") return exitCodes.noDaemon;
	return error.code === "NOT_FOUND" ? exitCodes.notFound : exitCodes.failed;
}
