/** What the gateway and the services of this daemon did since it started, and the instances there are now. */
import type { RevisionUsage } from "../../engine/serving/revision-usage.ts";
import type { RequestCounts } from "../gateway/counters.ts";
import type { MetricText } from "./metric-text.ts";
import type { ApiWorkloads } from "./ports.ts";

type Workloads = Pick<ApiWorkloads, "pools" | "gateway">;

export function workloadMetrics(text: MetricText, workloads: Workloads): void {
	gatewayMetrics(text, workloads);
	revisionMetrics(text, workloads);
}

function gatewayMetrics(text: MetricText, { gateway }: Workloads): void {
	const services = [...gateway.services.values()];
	text.family(
		"slipway_gateway_requests",
		"counter",
		"Requests by service and class of status; no service: routes to functions, unknown hosts",
	);
	for (const [code, all] of Object.entries(gateway.requests)) {
		const ofServices = services.reduce((sum, { requests }) => sum + requests[code as keyof RequestCounts], 0);
		text.sample(Math.max(0, all - ofServices), { namespace: "", service: "", code });
	}
	for (const { namespace, service, requests } of services)
		for (const [code, count] of Object.entries(requests)) text.sample(count, { namespace, service, code });
	text.family("slipway_gateway_failures", "counter", "Answers that were not the container's own, by cause");
	for (const [cause, count] of Object.entries(gateway.failures)) text.sample(count, { cause });
	text.family("slipway_gateway_open_requests", "gauge", "Requests under way").sample(gateway.openRequests);
	text.family("slipway_gateway_open_upgrades", "gauge", "WebSockets and other upgrades").sample(gateway.openUpgrades);
	text.family("slipway_gateway_upgrades", "counter", "Upgrades since the start").sample(gateway.upgrades);
	text.family("slipway_gateway_received_bytes", "counter", "Of bodies, from clients").sample(gateway.bytesIn);
	text.family("slipway_gateway_sent_bytes", "counter", "Of bodies, to clients").sample(gateway.bytesOut);
	text.family("slipway_service_cold_requests", "counter", "Requests that an instance had to be started for");
	for (const { namespace, service, cold } of services) text.sample(cold, { namespace, service });
	text.family("slipway_service_wait_seconds", "counter", "Time that requests waited for an instance");
	for (const { namespace, service, waitedMs } of services) text.sample(waitedMs / 1000, { namespace, service });
}

type Usage = Readonly<RevisionUsage>;
const ofUsage: readonly [name: string, help: string, value: (usage: Usage) => number][] = [
	["slipway_revision_instance_starts", "Instances that were started", ({ starts }) => starts],
	["slipway_revision_failed_starts", "Starts of instances that failed", ({ failedStarts }) => failedStarts],
	["slipway_revision_requests", "Requests that instances took", ({ requests }) => requests],
	["slipway_revision_failures", "Of these: 5xx, or no answer from the container", ({ failures }) => failures],
	[
		"slipway_revision_refused_requests",
		"Requests that got no instance: full queue, no time left",
		({ refused }) => refused,
	],
];

function revisionMetrics(text: MetricText, { pools }: Workloads): void {
	const all = pools.revisions().map((revision) => ({
		labels: { namespace: revision.namespace, service: revision.service, revision: revision.name },
		scale: pools.scale(revision) ?? { actual: 0, desired: 0, waiting: 0 },
		usage: pools.usage(revision),
	}));
	text.family("slipway_revision_instances", "gauge", "Instances that take requests");
	for (const { labels, scale } of all) text.sample(scale.actual, labels);
	text.family("slipway_revision_wanted_instances", "gauge", "Instances that the autoscaler wants");
	for (const { labels, scale } of all) text.sample(scale.desired, labels);
	text.family("slipway_revision_waiting_requests", "gauge", "Requests that wait for an instance");
	for (const { labels, scale } of all) text.sample(scale.waiting, labels);
	for (const [name, help, value] of ofUsage) {
		text.family(name, "counter", help);
		for (const { labels, usage } of all) if (usage) text.sample(value(usage), labels);
	}
	text.family("slipway_revision_duration_seconds", "histogram", "In the container, of requests that it answered");
	for (const { labels, usage } of all) if (usage && usage.requests > 0) text.histogram(usage.latencyMs, labels);
}
