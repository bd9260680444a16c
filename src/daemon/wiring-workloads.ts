/** Services, jobs and workers: what runs containers that are no functions, over the same images and sandboxes. */
import { join } from "node:path";
import { FsVolumeHost } from "../adapters/volumes-fs/fs-volume-host.ts";
import type { Lifetime } from "../base/lifetime.ts";
import { serviceEnvironment } from "../contracts/http/environment.ts";
import { MetadataServer } from "../contracts/http/metadata.ts";
import { NetworkProbes } from "../contracts/http/probes.ts";
import type { SandboxRuntime } from "../core/sandbox/sandbox-runtime.ts";
import type { Images } from "../engine/images/images.ts";
import { SandboxInstanceHost } from "../engine/instances/instance-host.ts";
import { Jobs } from "../engine/jobs/jobs.ts";
import { Workers } from "../engine/jobs/workers.ts";
import { Services } from "../engine/services/services.ts";
import { servingPools } from "../engine/services/serving-pools.ts";
import { Autoscaler } from "../engine/serving/autoscaler.ts";
import { BoundedSlots } from "../engine/serving/instance-slots.ts";
import { Serving } from "../engine/serving/serving.ts";
import type { WireInput } from "./daemon.ts";
import { IdentityTokens } from "./identity-tokens.ts";
import { serviceUrl } from "./service-url.ts";
import type { Storage } from "./wiring-storage.ts";

export type Workloads = Awaited<ReturnType<typeof openWorkloads>>;

/** Starts nothing before the runtime has removed what an earlier process left: services with a minimum start theirs at once. */
export async function openWorkloads(
	input: WireInput,
	{ store, rootfs, logs }: Storage,
	{ runtime, images }: { runtime: SandboxRuntime; images: Images },
	lifetime: Lifetime,
) {
	const { config, clock, ids, log } = input;
	const { architecture } = images;
	const volumes = await FsVolumeHost.open({
		runFolder: join(config.home, "instance-volumes"),
		persistentFolder: join(config.home, "volumes"),
	});
	const instances = new SandboxInstanceHost({
		runtime,
		rootfs,
		logs,
		volumes,
		clock,
		log,
		probes: new NetworkProbes(),
		egress: config.egress,
		restoreImage: async ({ imageDigest }) => void (await images.prepare(imageDigest, architecture)),
	});
	lifetime.use(instances);
	const tokens = new IdentityTokens(join(config.home, "identity-key.json"));
	const onMetadata = openMetadata(input, tokens);
	const slots = new BoundedSlots(config.maxSandboxes);
	const scaler = lifetime.use(new Autoscaler({ clock, log }));
	const serving = new Serving(
		{
			clock,
			ids,
			log,
			instances,
			slots,
			scaler,
			contract: {
				environment: serviceEnvironment,
				onMetadata: (_revision, id) => onMetadata(id),
			},
		},
		{ freezeAfterMs: config.freezeDelayMs },
	);
	lifetime.use(serving);
	const common = { store: store.resources, images, architecture, clock, ids, log };
	const jobsDeps = { ...common, instances, slots, contract: { onMetadata } };
	const jobs = await Jobs.open(jobsDeps);
	const workers = await Workers.open(jobsDeps);
	lifetime.defer(() => Promise.all([jobs[Symbol.asyncDispose](), workers[Symbol.asyncDispose]()]));
	const services = await Services.open({
		...common,
		serving: servingPools(serving),
		urlOf: (...name) => serviceUrl(config.domains[0] ?? "localhost", input.gatewayUrl, ...name),
	});
	lifetime.use(services);
	return {
		serving,
		scaler,
		jobs,
		workers,
		services,
		tokens,
		*imagesInUse() {
			yield* services.imagesInUse();
			yield* jobs.imagesInUse();
			yield* workers.imagesInUse();
		},
	};
}

/** For each instance, Google's metadata server as its containers see it. */
function openMetadata({ config, accountId, clock, ids, log, url }: WireInput, tokens: IdentityTokens) {
	const server = new MetadataServer({
		projectId: config.project,
		numericProjectId: accountId,
		region: config.region,
		log,
		clock,
		ids,
		sign: tokens.sign,
		issuer: url,
	});
	const email = `default@${config.project}.iam.gserviceaccount.com`;
	return (instanceId: string) => server.handler({ instanceId, email });
}
