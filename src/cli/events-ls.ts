import type { EventState, EventsOverview, EventView } from "../client/event-schema.ts";
import { age, cell, placeOf, timeOf } from "./event-text.ts";
import { formatBytes, table } from "./format.ts";
import { integerOf, usage } from "./options.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

const states = ["ready", "delayed", "retrying", "in-flight", "blocked", "dead"] as const satisfies EventState[];
/** Bytes of each body that a table asks for; with --json all that the API shows. */
const tableBodyBytes = 200;
const jsonBodyBytes = 65_536;

export const verb: Verb = {
	usage: "events ls [PLACE] [--state STATE] [--since 1h] [--limit 100] [--body] [--json]",
	summary: "List what is queued, in flight, retried and dead",
	details:
		"Without PLACE: how much there is where. With one: its events, oldest first. Places are function/NAME, queue/NAME,\n" +
		"rule/BUS/RULE/TARGET, schedule/GROUP/NAME, archive/NAME, trigger/NAME, and dead/ with one of these for its dead letters.\n" +
		`States are ${states.join(", ")}.`,
	positionals: [0, 2],
	options: {
		all: { type: "boolean", short: "a", description: "Empty places too" },
		state: { type: "string", value: "STATE", description: "Only events in this state" },
		since: { type: "string", value: "TIME", description: "Sent since then: a time, or how long ago (1h)" },
		until: { type: "string", value: "TIME", description: "Sent until then" },
		limit: { type: "string", value: "N", description: "At most so many; 100 by default, 1000 at most" },
		after: { type: "string", value: "SEQUENCE", description: "Those behind it: `next` of --json" },
		body: { type: "boolean", short: "b", description: "Show the bodies" },
		...jsonOption,
	},
	examples: [
		["slipway events ls", "what waits where"],
		["slipway events ls function/orders --state retrying", "events that failed and are tried again"],
		["slipway events ls queue orders-dlq --body", "dead letters with their bodies"],
	],
	run: list,
};

async function list(call: Call): Promise<number> {
	const { context, values, positionals } = call;
	const { events } = context.client();
	if (positionals.length === 0) {
		const overview = await events.overview({ all: values.all === true });
		if (values.json) context.printJson(overview);
		else context.print(overviewText(overview));
		return exitCodes.ok;
	}
	const page = await events.list(placeOf(positionals), {
		state: stateOf(text(values.state)),
		limit: integerOf("limit", values.limit),
		after: afterOf(text(values.after)),
		fromMs: timeOf("since", values.since),
		toMs: timeOf("until", values.until),
		bodyBytes: values.body ? (values.json ? jsonBodyBytes : tableBodyBytes) : undefined,
	});
	if (values.json) context.printJson(page);
	else {
		context.print(eventTable(page.events, values.body === true));
		if (page.next !== undefined) context.print(`There are more: --after ${page.next}`);
	}
	return exitCodes.ok;
}

function overviewText({ lanes, total, faults }: EventsOverview): string {
	const rows = lanes.map((lane) => [
		lane.name,
		...[lane.dead > 0 ? 0 : lane.ready, lane.delayed, lane.retrying, lane.inFlight, lane.dead].map(String),
		age(lane.oldestSentMs),
		formatBytes(lane.bytes),
	]);
	const sum = [total.ready, total.delayed, total.retrying, total.inFlight, total.dead].map(String);
	const header = ["PLACE", "READY", "DELAYED", "RETRYING", "IN FLIGHT", "DEAD", "OLDEST", "SIZE"];
	const lines = [table(header, [...rows, ["all", ...sum, "", formatBytes(total.bytes)]])];
	if (faults > 0) lines.push(`${faults} damaged messages were set aside: slipway events faults`);
	return lines.join("\n");
}

function eventTable(events: readonly EventView[], withBody: boolean): string {
	const rows = events.map((event) => [
		event.id,
		event.state,
		String(event.attempts),
		age(event.sentMs),
		formatBytes(event.size),
		withBody ? cell(event.body) : cell(event.note === undefined ? "" : JSON.stringify(event.note)),
	]);
	return table(["ID", "STATE", "ATTEMPTS", "AGE", "SIZE", withBody ? "BODY" : "NOTE"], rows);
}

function stateOf(given: string | undefined): EventState | undefined {
	if (given === undefined) return undefined;
	const state = states.find((one) => one === given);
	if (state) return state;
	throw usage(`--state is '${given}': it must be one of ${states.join(", ")}`);
}

/** Sequences have more digits than other numbers. */
function afterOf(given: string | undefined): number | undefined {
	if (given === undefined || /^\d{1,15}$/.test(given)) return given === undefined ? undefined : Number(given);
	throw usage(`--after is '${given}': it must be a sequence`);
}
