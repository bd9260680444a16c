import { placeOf, timeOf } from "./event-text.ts";
import { integerOf, listOf, usage } from "./options.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "events replay PLACE [--id ID...] [--since 1h] [--until TIME] [--to ARN] [--limit N] [--all]",
	summary: "Deliver dead events again, or an archive's",
	details:
		"PLACE is a dead-letter queue (queue/NAME), the dead letters of a trigger (dead/trigger/NAME) or an archive (archive/NAME). Dead\n" +
		"letters go back to the queue, function or target that they came from. Say which: by id, by time, or --all. The exit code is 1 when\n" +
		"some could not go.",
	positionals: [1, 2],
	options: {
		id: { type: "string", multiple: true, value: "ID", description: "Only this one; repeatable" },
		since: { type: "string", value: "TIME", description: "Sent since then: a time, or how long ago (1h)" },
		until: { type: "string", value: "TIME", description: "Sent until then" },
		to: { type: "string", value: "ARN", description: "Hand them to this function, queue, bus or service instead" },
		limit: { type: "string", value: "N", description: "At most so many" },
		all: { type: "boolean", short: "a", description: "All of them" },
		...jsonOption,
	},
	examples: [
		["slipway events replay queue/orders-dlq --all", "back to the queue they came from"],
		["slipway events replay queue/orders-dlq --id 0199f3…", "one"],
		["slipway events replay archive/all --since 2h --until 1h", "an hour of an archive"],
	],
	run: replay,
};

async function replay({ context, values, positionals }: Call): Promise<number> {
	const ids = listOf(values.id);
	const fromMs = timeOf("since", values.since);
	const toMs = timeOf("until", values.until);
	if (ids.length === 0 && fromMs === undefined && toMs === undefined && !values.all)
		throw usage(
			"Which events? Say --id ID, --since TIME, --until TIME or --all",
			"`slipway events ls PLACE` lists them",
		);
	const result = await context.client().events.replay({
		place: placeOf(positionals),
		...(ids.length > 0 && { ids }),
		...(fromMs !== undefined && { fromMs }),
		...(toMs !== undefined && { toMs }),
		...(values.to !== undefined && { target: text(values.to) }),
		...(values.limit !== undefined && { max: integerOf("limit", values.limit) }),
	});
	if (values.json) context.printJson(result);
	else {
		if (result.replay !== undefined) context.print(`Replay ${result.replay} has begun`);
		else context.print(`${result.replayed} replayed${result.kept > 0 ? `, ${result.kept} stay` : ""}`);
		for (const { id, problem } of result.problems) context.print(`  ${id}: ${problem}`);
	}
	return result.kept > 0 ? exitCodes.failed : exitCodes.ok;
}
