import { setTimeout as sleep } from "node:timers/promises";
import { isSlipwayError, SlipwayError } from "../base/error.ts";
import type { EventStep, EventStory } from "../client/event-schema.ts";
import { stepText } from "./event-text.ts";
import { parseDuration } from "./format.ts";
import { usage } from "./options.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

/** Milliseconds between two looks. */
const lookMs = 500;

export const verb: Verb = {
	usage: "events follow ID [--timeout 10m] [--json]",
	summary: "Follow one event until it is delivered or dead",
	details:
		"Prints each step as it happens; with --json one a line. The exit code is 1 when the event ends dead, too old or dropped.",
	positionals: [1, 1],
	options: {
		timeout: { type: "string", value: "DURATION", description: "Give up after this time; never by default" },
		...jsonOption,
	},
	examples: [["slipway events follow $(slipway invoke orders --async -d '{}')", "an invocation and its retries"]],
	run: follow,
};

async function follow({ context, values, positionals: [id = ""] }: Call): Promise<number> {
	const { events } = context.client();
	const endAt = endOf(text(values.timeout));
	const shown = new Set<string>();
	for (let first = true; ; first = false) {
		const story = await look(() => events.story(id), first);
		for (const step of story?.steps ?? []) {
			const key = `${step.id} ${step.lane} ${step.step} ${step.attempt} ${step.atMs}`;
			if (shown.has(key)) continue;
			shown.add(key);
			context.print(values.json ? JSON.stringify(step satisfies EventStep) : stepText(step));
		}
		if (story && isOver(story)) {
			if (!values.json) context.print(`${id}: ${story.state}`);
			return story.state === "delivered" ? exitCodes.ok : exitCodes.failed;
		}
		if (performance.now() >= endAt)
			throw new SlipwayError("DEADLINE", `'${id}' is ${story?.state ?? "not seen"} still`, {
				hint: `It goes on without this command: slipway events show ${id}`,
			});
		await sleep(lookMs);
	}
}

/** A daemon that is restarted meanwhile goes on with the event. */
async function look(ask: () => Promise<EventStory>, first: boolean): Promise<EventStory | undefined> {
	try {
		return await ask();
	} catch (error) {
		if (!first && isSlipwayError(error) && error.reason === "NoDaemon") return undefined;
		throw error;
	}
}

function isOver({ state }: EventStory): boolean {
	return state === "delivered" || state === "dead" || state === "expired" || state === "dropped";
}

function endOf(given: string | undefined): number {
	if (given === undefined) return Number.POSITIVE_INFINITY;
	const ms = parseDuration(given);
	if (ms === undefined) throw usage(`--timeout is '${given}': it must be a time as 30s or 10m`);
	return performance.now() + ms;
}
