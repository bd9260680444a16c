import type { RevisionActivity, ServiceStreamLine } from "../client/service-schema.ts";
import { describeDeployment } from "./deployment-progress.ts";
import { formatTime, paint, table } from "./format.ts";
import { namespaceOf, namespaceOption } from "./options.ts";
import { ConditionLines } from "./service-progress.ts";
import { describeTraffic } from "./traffic-change.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

/** Of a terminal that does not tell its size. */
const unknownRows = 24;
/** Events shown below the table of a terminal. */
const shownEvents = 12;

export const verb: Verb = {
	usage: "service watch NAME [-n NAMESPACE] [--json]",
	summary: "Show live what a service's revisions do: share, instances, requests, errors, rollouts and rollbacks",
	details: "On a terminal a table that is drawn over; elsewhere one line for each change. Until Ctrl-C.",
	positionals: [1, 1],
	options: { ...namespaceOption, ...jsonOption },
	examples: [["slipway service watch hello", ""]],
	run: watch,
};

async function watch(call: Call): Promise<number> {
	const { context, values, positionals } = call;
	const interrupted = new AbortController();
	process.once("SIGINT", () => interrupted.abort());
	const lines = context.client().workloads.watchService(namespaceOf(call), positionals[0] ?? "", interrupted.signal);
	const view = new WatchView(context.color);
	const screen = context.out.isTTY ? new Screen(context.out) : undefined;
	try {
		for await (const line of lines) {
			if (values.json) {
				context.print(JSON.stringify(line));
				continue;
			}
			const events = view.take(line, Date.now());
			if (screen) screen.draw(view.screen());
			else for (const event of events) context.print(event);
		}
	} catch (error) {
		if (!interrupted.signal.aborted) throw error;
	}
	return exitCodes.ok;
}

type Line = Exclude<ServiceStreamLine, { type: "problem" }>;

/** What is known of the service, and what of it has just changed. */
export class WatchView {
	readonly #color: boolean;
	readonly #conditions: ConditionLines;
	readonly #events: string[] = [];
	#traffic = "";
	#step = "";
	#revisions: (RevisionActivity & { perSecond: number; failuresPerSecond: number })[] = [];
	#activityAt = 0;
	#title = "";

	constructor(color: boolean) {
		this.#color = color;
		this.#conditions = new ConditionLines(color);
	}

	/** The new events, one line each. */
	take(line: Line, nowMs: number): string[] {
		const events = this.#found(line, nowMs).map((event) => `${paint(this.#color, "dim", formatTime(nowMs))}  ${event}`);
		this.#events.push(...events);
		this.#events.splice(0, Math.max(0, this.#events.length - shownEvents));
		return events;
	}

	#found(line: Line, nowMs: number): string[] {
		switch (line.type) {
			case "service":
				return this.#service(line);
			case "activity":
				return this.#activity(line, nowMs);
			case "progress":
				return this.#deployment(line);
			case "deleted":
				return ["deleted"];
		}
	}

	/** Its steps: what lies between them changes too often for a list of events. */
	#deployment(line: Extract<Line, { type: "progress" }>): string[] {
		const step = describeDeployment(line);
		if (step === this.#step) return [];
		this.#step = step;
		return [step];
	}

	#service({ service }: Extract<Line, { type: "service" }>): string[] {
		const { metadata, status } = service;
		this.#title = `${metadata.name}  ${status.url ?? ""}`;
		const traffic = describeTraffic(status.traffic ?? [], status.latestReadyRevisionName);
		const moved = traffic === this.#traffic ? [] : [`traffic              ${traffic}`];
		this.#traffic = traffic;
		return [...moved, ...this.#conditions.changes(status.conditions)];
	}

	#activity({ revisions }: Extract<Line, { type: "activity" }>, nowMs: number): string[] {
		const seconds = Math.max(0.001, (nowMs - this.#activityAt) / 1000);
		const before = new Map(this.#revisions.map((one) => [one.revision, one]));
		this.#activityAt = nowMs;
		this.#revisions = revisions.map((one) => {
			const last = before.get(one.revision);
			const rate = (now: number, then: number | undefined) =>
				then === undefined ? 0 : Math.max(0, Math.round((now - then) / seconds));
			return {
				...one,
				perSecond: rate(one.requests, last?.requests),
				failuresPerSecond: rate(one.failures, last?.failures),
			};
		});
		return this.#revisions.flatMap((one) => {
			const last = before.get(one.revision);
			const [now, then] = [figures(one), last ? figures(last) : ""];
			return now === then ? [] : [`${one.revision.padEnd(20)} ${now}`];
		});
	}

	screen(): string[] {
		const rows = this.#revisions.map((one) => [
			one.revision,
			`${one.percent}%`,
			one.tags.join(" "),
			one.actualReplicas === one.desiredReplicas
				? `${one.actualReplicas}`
				: `${one.actualReplicas} -> ${one.desiredReplicas}`,
			String(one.perSecond),
			paint(this.#color && one.failuresPerSecond > 0, "red", String(one.failuresPerSecond)),
			String(one.requests),
			String(one.failures),
		]);
		const header = ["REVISION", "SHARE", "TAGS", "INSTANCES", "REQ/S", "ERR/S", "REQUESTS", "ERRORS"];
		return [paint(this.#color, "bold", this.#title), ...table(header, rows).split("\n"), "", ...this.#events];
	}
}

function figures({
	percent,
	actualReplicas,
	desiredReplicas,
	perSecond,
	failuresPerSecond,
}: RevisionActivity & { perSecond: number; failuresPerSecond: number }): string {
	const scaling = actualReplicas === desiredReplicas ? "" : ` -> ${desiredReplicas}`;
	return `${percent}%, ${actualReplicas}${scaling} instances, ${perSecond} req/s, ${failuresPerSecond} err/s`;
}

/** Lines drawn over the ones before. */
class Screen {
	readonly #out: NodeJS.WriteStream;
	#drawn = 0;

	constructor(out: NodeJS.WriteStream) {
		this.#out = out;
	}

	draw(lines: readonly string[]): void {
		if (this.#drawn > 0) this.#out.moveCursor(0, -this.#drawn);
		this.#out.cursorTo(0);
		this.#out.clearScreenDown();
		// A line that wraps would shift everything that is drawn over it.
		const shown = lines.slice(0, Math.max(1, (this.#out.rows || unknownRows) - 1));
		this.#out.write(`\u001b[?7l${shown.join("\n")}\n\u001b[?7h`);
		this.#drawn = shown.length;
	}
}
