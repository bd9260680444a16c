/** For tests: workloads of the API over a machine that is made of objects. The engine is the real one. */

import { systemClock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { Lifetime } from "../../base/lifetime.ts";
import { silentLog } from "../../base/log.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import { type FakeInstance, FakeInstanceHost } from "../../core/workload/fake-instance-host.ts";
import { GatewayRoutes } from "../../engine/gateway-routes/gateway-routes.ts";
import { Jobs } from "../../engine/jobs/jobs.ts";
import { FakeJobImages } from "../../engine/jobs/testing.ts";
import { Workers } from "../../engine/jobs/workers.ts";
import { Services } from "../../engine/services/services.ts";
import { servingPools } from "../../engine/services/serving-pools.ts";
import { Autoscaler } from "../../engine/serving/autoscaler.ts";
import { BoundedSlots } from "../../engine/serving/instance-slots.ts";
import { Serving } from "../../engine/serving/serving.ts";
import { newCounters } from "../gateway/counters.ts";
import type { ApiWorkloads } from "./ports.ts";

/**
 * What a container does is in its first argument after the image's: a task ends at once with that exit code, 0 without;
 * `hang` goes on, and what is to `crash` never gets ready.
 */
export async function fakeWorkloads(): Promise<
	ApiWorkloads & AsyncDisposable & { instances: FakeInstanceHost; images: FakeJobImages }
> {
	const instances = new FakeInstanceHost({ start: async (instance) => begin(instance) });
	const store = new FakeResourceStore();
	const slots = new BoundedSlots(100);
	const common = { clock: systemClock, ids: randomIds, log: silentLog };
	const lifetime = new Lifetime();
	const scaler = lifetime.use(new Autoscaler(common));
	const contract = { environment: () => ({}), onMetadata: () => undefined };
	const serving = lifetime.use(new Serving({ ...common, instances, slots, scaler, contract }, { freezeAfterMs: 100 }));
	const images = new FakeJobImages();
	const deps = { ...common, store, images, instances, slots, architecture: "x86_64" } as const;
	const pools = servingPools(serving);
	const urlOf = (namespace: string, name: string, tag?: string) =>
		`http://${tag === undefined ? "" : `${tag}---`}${name}.${namespace}.localhost:4747`;
	return {
		services: lifetime.use(await Services.open({ ...deps, serving: pools, urlOf })),
		serving: { ...pools, instances: () => serving.instances(), stopIdle: (service) => serving.stopIdle(service) },
		jobs: lifetime.use(await Jobs.open(deps)),
		workers: lifetime.use(await Workers.open(deps)),
		gatewayRoutes: await GatewayRoutes.open({
			store,
			gatewayHost: "api.localhost",
			schemaProblem: () => undefined,
		}),
		certificates: {
			state: () => ({ untilMs: 0 }),
			authority: {
				certificatePath: "/ca.crt",
				certificate: async () => "-----BEGIN CERTIFICATE-----\n",
				instructions: async () => "Trust it",
			},
		},
		pools: serving,
		gateway: newCounters(),
		instances,
		images,
		[Symbol.asyncDispose]: () => lifetime[Symbol.asyncDispose](),
	};
}

function begin(instance: FakeInstance): void {
	const { restart, workload } = instance.options;
	const argument = workload.containers[0]?.args[1] ?? "0";
	if (argument === "crash")
		throw new SlipwayError("UNAVAILABLE", 'Container "main" exited with code 1', { reason: "ContainerExited" });
	if (restart === "never" && argument !== "hang") setImmediate(() => instance.exit(Number(argument) || 0));
}
