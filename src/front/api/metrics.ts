/** GET /metrics: what the functions of this daemon did since it started, and what it holds and uses now. */
import type { ServerResponse } from "node:http";
import { setImmediate } from "node:timers/promises";
import { coldStartStages } from "../../core/invocation/cold-start.ts";
import { sandboxStates } from "../../core/sandbox/sandbox-state.ts";
import type { FunctionUsage } from "../../engine/dispatch/meter.ts";
import { roomIn } from "../streamed-answer.ts";
import { eventMetrics } from "./event-metrics.ts";
import { contentTypes, formatFor, MetricText } from "./metric-text.ts";
import type { ApiDeps } from "./ports.ts";
import { type Call, type Route, route } from "./route.ts";
import { workloadMetrics } from "./workload-metrics.ts";

/** Functions that are written in one turn of the event loop: a millisecond's work. */
const functionsATurn = 50;

/** Of the states that last: what is over is not there to be counted. */
const shownStates = sandboxStates.filter((state) => state !== "stopped" && state !== "failed");

type Counter = [name: string, help: string, value: (usage: Readonly<FunctionUsage>) => number];
const counters: readonly Counter[] = [
	["slipway_function_invocations", "Events that a sandbox took", (usage) => usage.invocations],
	["slipway_function_errors", "Events that ended with an error of the function", (usage) => usage.errors],
	["slipway_function_throttles", "Events refused by a limit of concurrency", (usage) => usage.throttles],
	["slipway_function_platform_failures", "Events that the platform could not serve", (usage) => usage.platformFailures],
	["slipway_function_cold_starts", "Events that waited for the start of a sandbox", (usage) => usage.coldStarts],
	[
		"slipway_function_spare_cold_starts",
		"Cold starts whose sandbox stood created as a spare",
		(usage) => usage.spareStarts,
	],
	["slipway_function_billed_seconds", "Billed time", (usage) => usage.billedMs / 1000],
	["slipway_function_init_seconds", "Time of inits, also of those ahead of any event", (usage) => usage.initMs / 1000],
];

export function metricRoutes(deps: ApiDeps): Route[] {
	return [
		route({
			id: "getMetrics",
			method: "GET",
			path: "/metrics",
			summary: "Metrics for Prometheus, as text; as OpenMetrics for clients that accept it",
			answer: {
				kind: "raw",
				mediaType: "text/plain",
				description: "Counters and histograms of each function, gauges of the sandboxes and of the daemon",
				headers: {},
			},
			handle: (call) => answer(deps, call),
		}),
	];
}

async function answer(deps: ApiDeps, { request, response, gone }: Call<unknown, unknown>): Promise<void> {
	const format = formatFor(request.headers.accept);
	response.writeHead(200, { "content-type": contentTypes[format] });
	const text = new MetricText(format);
	daemonMetrics(text, deps);
	if (deps.workloads) workloadMetrics(text, deps.workloads);
	if (deps.delivery) await eventMetrics(text, deps.delivery, deps.clock.now());
	for await (const part of functionMetrics(text, deps)) {
		if (gone.aborted) return;
		await write(response, part);
	}
	response.end(text.end());
}

async function write(response: ServerResponse, part: string): Promise<void> {
	if (part !== "" && !response.write(part)) await roomIn(response);
}

function daemonMetrics(text: MetricText, { dispatcher, functions, version, process: usage, spans }: ApiDeps): void {
	const { states, provisioned, spares, initializedSpares } = dispatcher.census();
	text.family("slipway_build_info", "gauge", "1, with the daemon's version").sample(1, { version });
	text.family("slipway_functions", "gauge", "Functions that exist").sample(functions.count);
	text.family("slipway_sandboxes", "gauge", "Sandboxes that exist, by state");
	for (const state of shownStates) text.sample(states[state] ?? 0, { state });
	text
		.family("slipway_spares", "gauge", "Sandboxes that stand ready for no event yet: created, or initialized as well")
		.sample(spares, { stage: "created" })
		.sample(initializedSpares, { stage: "initialized" });
	text.family("slipway_provisioned_sandboxes", "gauge", "Sandboxes of provisioned concurrency").sample(provisioned);
	const { residentBytes, cpuSeconds, startedMs } = usage();
	text.family("process_resident_memory_bytes", "gauge", "Memory of the daemon").sample(residentBytes);
	text.family("process_cpu_seconds", "counter", "CPU time of the daemon").sample(cpuSeconds);
	text.family("process_start_time_seconds", "gauge", "When the daemon started").sample(startedMs / 1000);
	if (!spans) return;
	const { exported, dropped } = spans();
	text.family("slipway_spans_exported", "counter", "Spans that the collector took").sample(exported);
	text.family("slipway_spans_dropped", "counter", "Spans that were lost on the way to it").sample(dropped);
}

/** In parts, between which others have their turn. */
async function* functionMetrics(text: MetricText, { meter, dispatcher }: ApiDeps): AsyncGenerator<string> {
	const all = [...meter.all()];
	const held = dispatcher.census().functions;
	async function* samples(write: (name: string, usage: Readonly<FunctionUsage>) => void): AsyncGenerator<string> {
		for (let from = 0; from < all.length; from += functionsATurn) {
			for (const [name, usage] of all.slice(from, from + functionsATurn)) write(name, usage);
			yield text.take();
			await setImmediate();
		}
	}
	for (const [name, help, value] of counters) {
		text.family(name, "counter", help);
		yield* samples((name, usage) => text.sample(value(usage), { function: name }));
	}
	text.family("slipway_function_sandboxes", "gauge", "Sandboxes of a function that exist");
	yield* samples((name) => text.sample(held.get(name) ?? 0, { function: name }));
	text.family(
		"slipway_function_duration_seconds",
		"histogram",
		"From the hand-over of an event until everybody was done with it",
	);
	yield* samples((name, { durations }) => durations && text.histogram(durations, { function: name }));
	text.family(
		"slipway_function_cold_start_stage_seconds",
		"histogram",
		"What events waited for in a cold start: queue, sandbox, process, init, first-poll",
	);
	yield* samples((name, { stages }) => {
		if (stages) for (const stage of coldStartStages) text.histogram(stages[stage], { function: name, stage });
	});
	yield text.take();
}
