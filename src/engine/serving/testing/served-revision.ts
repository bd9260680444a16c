import { VirtualClock } from "../../../../tests/simulation/virtual-clock.ts";
import { silentLog } from "../../../base/log.ts";
import type { ScalingSettings } from "../../../core/service/scaling-settings.ts";
import type { ServiceRevision } from "../../../core/service/service-revision.ts";
import { FakeInstanceHost, type FakeInstanceHostOptions } from "../../../core/workload/fake-instance-host.ts";
import { IdleFreezer } from "../../dispatch/idle-freezer.ts";
import { testWorkload } from "../../instances/testing/workloads.ts";
import { BoundedSlots } from "../instance-slots.ts";
import { RevisionPool } from "../revision-pool.ts";

export const testScaling: ScalingSettings = {
	metric: "concurrency",
	totalTarget: 100,
	targetUtilization: 0.7,
	minScale: 0,
	maxScale: 0,
	initialScale: 1,
	activationScale: 1,
	scaleDownDelayMs: 0,
	stableWindowMs: 60_000,
	panicWindowMs: 6000,
	panicThreshold: 2,
	maxScaleUpRate: 1000,
	maxScaleDownRate: 2,
	scaleToZero: true,
	scaleToZeroGraceMs: 30_000,
	podRetentionMs: 0,
	targetBurstCapacity: 211,
	aggregation: "linear",
};

export function testRevision(more: Partial<ServiceRevision> = {}): ServiceRevision {
	return {
		namespace: "default",
		service: "web",
		name: "web-00001",
		configuration: "web",
		uid: "uid-1",
		profile: "cloudrun",
		workload: testWorkload(),
		concurrency: 0,
		timeoutMs: 300_000,
		responseStartTimeoutMs: 300_000,
		idleTimeoutMs: undefined,
		cpu: "always",
		sessionAffinity: false,
		scaling: testScaling,
		progressDeadlineMs: 600_000,
		...more,
	};
}

export const answered = { status: 200, durationMs: 5, failure: undefined };

/** A pool over instances that are objects, in virtual time. */
export function setUpPool(
	revision: ServiceRevision,
	options: { instances?: FakeInstanceHostOptions; slots?: number; maxWaiting?: number } = {},
) {
	const clock = new VirtualClock();
	const instances = new FakeInstanceHost(options.instances);
	const slots = new BoundedSlots(options.slots ?? 1000);
	let next = 0;
	let pokes = 0;
	let asksForRoom = 0;
	const pool = new RevisionPool(
		revision,
		{
			clock,
			log: silentLog,
			slots,
			freezer: new IdleFreezer(clock, 100),
			startInstance: ({ workload }) =>
				instances.start({
					id: `i-${next++}`,
					workload,
					environment: () => ({}),
					log: { group: "/g", stream: () => "s" },
					restart: "others",
				}),
			onWaiting: () => void pokes++,
			makeRoom: () => void asksForRoom++,
			maxWaitMs: 300_000,
			maxWaiting: options.maxWaiting ?? 10_000,
		},
		true,
	);
	const admit = (preferred?: string, signal = new AbortController().signal) => pool.admit({ signal, preferred });
	return {
		clock,
		instances,
		slots,
		pool,
		admit,
		pokes: () => pokes,
		asksForRoom: () => asksForRoom,
		running: () => [...instances.instances.values()],
	};
}
