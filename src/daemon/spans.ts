/** Spans, where the configuration names a collector; nothing of them is loaded where it does not. */
import type { Lifetime } from "../base/lifetime.ts";
import type { SpanSink } from "../core/trace/span.ts";
import type { Invoke } from "../engine/dispatch/traced-dispatcher.ts";
import type { WireInput } from "./daemon.ts";

export interface Spans {
	sink: SpanSink;
	/** What the fronts call in place of the dispatcher's own. */
	record(invoke: Invoke): Invoke;
}

/** To be called before what invokes is made, so that it is flushed after that has ended. */
export async function openSpans(input: WireInput, lifetime: Lifetime): Promise<Spans | undefined> {
	const { config, version, clock, ids, log, accountId } = input;
	const { tracing } = config;
	if (!tracing) return undefined;
	const [{ OtlpExporter }, { TracedDispatcher }] = await Promise.all([
		import("../adapters/spans-otlp/otlp-exporter.ts"),
		import("../engine/dispatch/traced-dispatcher.ts"),
	]);
	const sink = lifetime.use(
		new OtlpExporter({
			endpoint: tracing.endpoint,
			headers: tracing.headers,
			timeoutMs: tracing.timeoutMs,
			resource: {
				version,
				attributes: {
					"service.name": tracing.serviceName,
					"service.version": version,
					"cloud.account.id": accountId,
					"cloud.region": config.region,
				},
			},
			clock,
			log,
			random: Math.random,
		}),
	);
	log.info("Spans are sent to a collector", { collector: new URL(tracing.endpoint).origin });
	return {
		sink,
		record: (invoke) => {
			const traced = new TracedDispatcher({ invoke, sink, clock, ids });
			return (name, request) => traced.invoke(name, request);
		},
	};
}
