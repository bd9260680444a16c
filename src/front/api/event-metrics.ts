/** What waits to be delivered, and the message log under it. Labels are kinds of places, and names of queues and functions that exist. */
import type { LaneView } from "../../engine/events/types.ts";
import { type ApiDelivery, asyncOutcomes } from "./delivery-ports.ts";
import type { MetricText } from "./metric-text.ts";

/** Queues that have samples of their own, by name: a scrape is bounded. All of them are in the sums of their kind. */
const maxQueues = 1000;
const kinds = ["function", "queue", "rule", "schedule", "archive", "trigger", "bus", "dead", "other"] as const;
const states = ["ready", "delayed", "retrying", "inFlight", "dead"] as const;

export async function eventMetrics(text: MetricText, delivery: ApiDelivery, nowMs: number): Promise<void> {
	const { lanes, faults } = await delivery.events.overview({ empty: true });
	text.family("slipway_events_waiting", "gauge", "Events that wait or are in hand, by kind of place and state");
	for (const kind of kinds) {
		const ofKind = lanes.filter((lane) => lane.kind === kind);
		for (const state of states) {
			const sum = ofKind.reduce((all, lane) => all + countOf(lane, state), 0);
			text.sample(sum, { kind, state: state === "inFlight" ? "in_flight" : state });
		}
	}
	text.family("slipway_events_oldest_seconds", "gauge", "Age of the oldest event that is not dead, by kind of place");
	for (const kind of kinds) {
		const alive = lanes.filter((lane) => lane.kind === kind && lane.dead === 0);
		const oldestMs = alive.reduce((oldest, { oldestSentMs = nowMs }) => Math.min(oldest, oldestSentMs), nowMs);
		text.sample((nowMs - oldestMs) / 1000, { kind });
	}
	queueMetrics(text, lanes, nowMs);
	text.family("slipway_async_invocations", "counter", "Asynchronous events of functions, by what became of them");
	for (const { function: name, ...counts } of delivery.asyncCounts())
		for (const outcome of asyncOutcomes) text.sample(counts[outcome] ?? 0, { function: name, outcome });
	logMetrics(text, delivery, faults);
}

/** Each event once: those of a place for dead letters are dead, those that are tried again are not only delayed. */
function countOf(lane: LaneView, state: (typeof states)[number]): number {
	if (lane.dead > 0) return state === "dead" ? lane.dead : 0;
	return state === "delayed" ? lane.delayed - lane.retrying : lane[state];
}

function queueMetrics(text: MetricText, lanes: readonly LaneView[], nowMs: number): void {
	const queues = lanes.filter(({ kind }) => kind === "queue").slice(0, maxQueues);
	const nameOf = ({ name }: LaneView) => ({ queue: name.slice("queue ".length) });
	text.family("slipway_queue_messages", "gauge", "Messages of a queue by state");
	for (const lane of queues) {
		text.sample(lane.ready, { ...nameOf(lane), state: "visible" });
		text.sample(lane.delayed, { ...nameOf(lane), state: "delayed" });
		text.sample(lane.inFlight, { ...nameOf(lane), state: "in_flight" });
	}
	text.family("slipway_queue_oldest_seconds", "gauge", "Age of a queue's oldest message");
	for (const lane of queues) text.sample(Math.max(0, nowMs - (lane.oldestSentMs ?? nowMs)) / 1000, nameOf(lane));
}

function logMetrics(text: MetricText, delivery: ApiDelivery, faults: number): void {
	const { commits, calls, commitSeconds, fileBytes, walBytes, pending } = delivery.logStats();
	text.family("slipway_log_commits", "counter", "Commits of the message log, each one on the disk").sample(commits);
	text.family("slipway_log_calls", "counter", "Calls that shared these commits").sample(calls);
	text.family("slipway_log_commit_seconds", "counter", "Time of these commits").sample(commitSeconds.sum);
	text.family("slipway_log_waiting_calls", "gauge", "Calls that wait for a commit").sample(pending);
	text.family("slipway_log_file_bytes", "gauge", "The message log's file").sample(fileBytes);
	text.family("slipway_log_wal_bytes", "gauge", "Its write-ahead log").sample(walBytes);
	text.family("slipway_log_faults", "gauge", "Messages with damaged bytes, set aside").sample(faults);
}
