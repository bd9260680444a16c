/** The one place that picks adapters and puts the parts together. */
import { Lifetime } from "../base/lifetime.ts";
import type { Invoke } from "../engine/dispatch/traced-dispatcher.ts";
import type { System, Wire, WireInput } from "./daemon.ts";
import { awsHost, slipwayHost } from "./internal-names.ts";
import { openSpans } from "./spans.ts";
import { openEngine } from "./wiring-engine.ts";
import { openDelivery } from "./wiring-events.ts";
import { idempotencyFront, makeFronts } from "./wiring-fronts.ts";
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
	const delivery = await openDelivery(input, storage, engine, gateway, invoke, lifetime);
	const runtime = `${network.name} ${network.version}`;
	const fronts = makeFronts(input, storage, engine, gateway, delivery, { runtime, invoke, spans });
	gateway.internalHosts.set(awsHost, async (request, response) => void (await fronts.aws(request, response)));
	gateway.internalHosts.set(slipwayHost, idempotencyFront(input, delivery));
	return {
		fronts,
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
			delivery.start();
		},
		[Symbol.asyncDispose]: () => lifetime[Symbol.asyncDispose](),
	};
}
