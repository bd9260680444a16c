/** The one place that picks adapters and puts the parts together. */
import { Lifetime } from "../base/lifetime.ts";
import type { Invoke } from "../engine/dispatch/traced-dispatcher.ts";
import type { System, Wire, WireInput } from "./daemon.ts";
import { openSpans } from "./spans.ts";
import { openEngine } from "./wiring-engine.ts";
import { makeFronts } from "./wiring-fronts.ts";
import { openGateway } from "./wiring-gateway.ts";
import { openStorage } from "./wiring-storage.ts";

export const wire: Wire = async (input) => {
	const lifetime = new Lifetime();
	try {
		return await wireParts(input, lifetime);
	} catch (error) {
		await lifetime[Symbol.asyncDispose]();
		throw error;
	}
};

async function wireParts(input: WireInput, lifetime: Lifetime): Promise<System> {
	const storage = await openStorage(input, lifetime);
	const spans = await openSpans(input, lifetime);
	const engine = await openEngine(input, storage, lifetime);
	const { network, workloads } = engine;
	const direct: Invoke = (name, request) => engine.dispatcher.invoke(name, request);
	const invoke = spans ? spans.record(direct) : direct;
	const gateway = await openGateway(input, storage, engine, invoke, lifetime);
	const runtime = `${network.name} ${network.version}`;
	return {
		fronts: makeFronts(input, storage, engine, gateway, { runtime, invoke, spans }),
		runtime,
		reaped: engine.reaped,
		challenge: gateway.certificates.challenge,
		certificateFor: (servername) => gateway.certificates.issue(servername),
		resume: () => {
			// A function that was deployed to an earlier process finds the same made ready for its first event.
			for (const { active } of engine.functions.records.all())
				if (active) network.prepare({ tmpMiB: active.configuration.tmpMiB, egress: input.config.egress });
			if (workloads.services.services().length > 0) network.prepare({ egress: input.config.egress });
			engine.concurrency.restore();
			workloads.jobs.resume();
			workloads.workers.resume();
		},
		[Symbol.asyncDispose]: () => lifetime[Symbol.asyncDispose](),
	};
}
