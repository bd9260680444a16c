import type { Instance, InstanceOptions } from "../../core/workload/instance.ts";
import type { InstanceOfWorkload, JobsDeps } from "./types.ts";

/** Undefined: the machine has as many instances as it may have. */
export function startInstance(
	{ instances, slots, contract }: Pick<JobsDeps, "instances" | "slots" | "contract">,
	options: InstanceOptions,
): Instance | undefined {
	const releaseSlot = slots.tryAcquire();
	if (!releaseSlot) return undefined;
	try {
		const onMetadata = contract?.onMetadata?.(options.id);
		const instance = instances.start({ ...options, ...(onMetadata && { onMetadata }) });
		void instance.ended.then(releaseSlot);
		return instance;
	} catch (error) {
		releaseSlot();
		throw error;
	}
}

export async function viewInstance(
	instance: Instance,
	of: Pick<InstanceOfWorkload, "namespace" | "name" | "part" | "startedMs">,
): Promise<InstanceOfWorkload> {
	const { memoryBytes, cpuUs } = await instance.stats();
	return { id: instance.id, ...of, state: instance.state, memoryBytes, cpuUs };
}
