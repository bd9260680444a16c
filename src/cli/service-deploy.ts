import { isSlipwayError, SlipwayError } from "../base/error.ts";
import type { SlipwayClient } from "../client/client.ts";
import type { ServiceView } from "../client/service-schema.ts";
import { explainFailure } from "./deployment-failure.ts";
import { paint } from "./format.ts";
import { commandOptions, envOption, namespaceOf, namespaceOption, usage, volumeOption } from "./options.ts";
import { nameOfImage, serviceManifest } from "./service-manifest.ts";
import { readyOf, untilReady } from "./service-progress.ts";
import { describeTraffic } from "./traffic-change.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "service deploy IMAGE | -f FILE [options]",
	summary: "Deploy a service and wait until it is ready",
	details:
		"IMAGE is registry/repository:tag, or the name of an image in the built-in registry (`slipway image ls`); one of docker's\n" +
		"comes in with `docker save IMAGE -o FILE && slipway image import FILE`. A service that is there keeps the settings that\n" +
		"no option changes. FILE holds one or more Knative or Cloud Run manifests of kind Service (YAML or JSON; - is standard input).\n" +
		"When it does not get ready, its reason and last log lines are shown, and the exit code is 1; an older revision goes on serving.",
	positionals: [0, 1],
	options: {
		file: { type: "string", short: "f", value: "FILE", description: "Manifests instead of an image and options" },
		name: { type: "string", value: "NAME", description: "Name of the service (the image's)" },
		port: { type: "string", value: "PORT", description: "Port that it listens on, $PORT (8080)" },
		...envOption,
		"remove-env": {
			type: "string",
			multiple: true,
			value: "KEY",
			description: "Take a variable away that the service has; repeatable",
		},
		concurrency: { type: "string", value: "COUNT", description: "Requests for one instance at a time, 0 for any (80)" },
		"min-instances": { type: "string", value: "COUNT", description: "Instances that always run (0)" },
		"max-instances": { type: "string", value: "COUNT", description: "Most instances (100)" },
		cpu: { type: "string", value: "CPUS", description: "CPUs of an instance, such as 500m or 2 (1)" },
		memory: {
			type: "string",
			short: "m",
			value: "BYTES",
			description: "Memory of an instance, such as 512Mi or 1Gi (512Mi)",
		},
		timeout: { type: "string", value: "TIME", description: "Of a request, up to 1h (5m)" },
		...commandOptions,
		core: { type: "boolean", description: "A core service: one instance, which always runs" },
		...volumeOption,
		"no-traffic": { type: "boolean", description: "The new revision gets no requests but by its tag" },
		tag: { type: "string", value: "TAG", description: "Reach the new revision at TAG---NAME as well" },
		"rollout-duration": { type: "string", value: "TIME", description: "Give it its traffic bit by bit, such as 10m" },
		"rollback-on-error-rate": { type: "string", value: "PERCENT", description: "Go back when more fail, such as 5%" },
		"rollback-on-latency-p95": {
			type: "string",
			value: "TIME",
			description: "Go back when it is slower, such as 500ms",
		},
		"rollback-window": { type: "string", value: "TIME", description: "How long a new revision is judged (5m)" },
		"cpu-always": { type: "boolean", description: "CPU outside of requests, too" },
		"no-cpu-throttling": { type: "boolean", description: "The same, as gcloud calls it" },
		ingress: { type: "string", value: "WHO", description: "all or internal (all)" },
		h2c: { type: "boolean", description: "It speaks HTTP/2 without TLS (gRPC)" },
		profile: {
			type: "string",
			value: "NAME",
			description: "Whose defaults hold: knative or cloudrun (cloudrun with IMAGE)",
		},
		"no-wait": { type: "boolean", description: "Return while it is being deployed" },
		...namespaceOption,
		...jsonOption,
	},
	examples: [
		["slipway service deploy $SLIPWAY_REGISTRY/hello:1", ""],
		["slipway service deploy hello:2 --tag green --no-traffic", "reachable at green---hello only"],
		[
			"slipway service deploy hello:3 --rollout-duration 10m --rollback-on-error-rate 5%",
			"bit by bit, and back when it fails",
		],
		["slipway service deploy db:1 --volume db-data:/var/lib/db", "a core service with files that stay"],
		["slipway service deploy -f service.yaml", "what `gcloud run services replace` takes"],
	],
	run: deploy,
};

async function deploy(call: Call): Promise<number> {
	const { context, values, positionals } = call;
	const file = text(values.file);
	const [image] = positionals;
	if ((file === undefined) === (image === undefined)) throw usage("Either IMAGE or -f FILE is needed");
	const applied = image === undefined ? await applyFile(call, file!) : [await applyImage(call, image)];
	const settled: ServiceView[] = [];
	for (const service of applied) settled.push(values["no-wait"] ? service : await untilReady(context, service));
	if (values.json) context.printJson(settled.length === 1 ? settled[0] : settled);
	let code: number = exitCodes.ok;
	for (const service of settled) {
		const ready = readyOf(service.status.conditions);
		if (ready?.status === "False") {
			await explainFailure(context, "services", service);
			code = exitCodes.failed;
		} else if (!values.json) context.print(nextSteps(service, context.color));
	}
	return code;
}

async function applyFile({ context, values }: Call, file: string): Promise<ServiceView[]> {
	const { readManifests, withPlaces } = await import("./manifest-file.ts");
	const documents = await readManifests(file);
	const { workloads } = context.client();
	const applied: ServiceView[] = [];
	for (const document of documents) {
		const { manifest, locate } = document;
		if (manifest.kind !== "Service")
			throw new SlipwayError("INVALID", `${locate(["kind"])}: kind is '${String(manifest.kind)}': it must be Service`, {
				hint: "`slipway job deploy -f` and `slipway worker deploy -f` take jobs and worker pools",
			});
		const metadata = manifest.metadata as { namespace?: unknown } | undefined;
		const given = typeof metadata?.namespace === "string" ? metadata.namespace : undefined;
		const namespace = text(values.namespace) ?? given ?? "default";
		try {
			applied.push(await workloads.applyService(namespace, manifest, { profile: text(values.profile) }));
		} catch (error) {
			throw withPlaces(error, document);
		}
	}
	return applied;
}

async function applyImage(call: Call, image: string): Promise<ServiceView> {
	const { context, values } = call;
	const client = context.client();
	const namespace = namespaceOf(call);
	const name = text(values.name) ?? nameOfImage(image);
	const reference = await referenceOf(client, image);
	const current = await client.workloads.service(namespace, name).catch((error: unknown) => {
		if (isSlipwayError(error, "NOT_FOUND")) return undefined;
		throw error;
	});
	const manifest = serviceManifest(name, namespace, reference, values, current);
	return client.workloads.applyService(namespace, manifest, { profile: text(values.profile) ?? "cloudrun" });
}

/** `hello:1` is what the built-in registry has by that name; with a registry in front it is taken as it is. */
export async function referenceOf(client: Pick<SlipwayClient, "images">, image: string): Promise<string> {
	const first = image.slice(0, Math.max(0, image.indexOf("/")));
	if (/[.:]/.test(first) || first === "localhost") return image;
	const [repository = "", tag = "latest"] = image.split(/:(?=[^/]*$)/);
	const found = (await client.images()).find((one) => one.repository === repository && one.tag === tag);
	if (found) return found.reference;
	throw new SlipwayError("NOT_FOUND", `The built-in registry has no image '${repository}:${tag}'`, {
		hint: `From docker: docker save ${image} -o image.tar && slipway image import image.tar; others with their registry in front`,
	});
}

function nextSteps(service: ServiceView, color: boolean): string {
	const { name, namespace } = service.metadata;
	const { url, traffic = [], latestReadyRevisionName: revision } = service.status;
	const tags = traffic.flatMap(({ tag, url: tagUrl }) =>
		tag === undefined || tagUrl === undefined ? [] : [[tag, tagUrl]],
	);
	const where = namespace === "default" ? "" : ` -n ${namespace}`;
	return [
		`${paint(color, "green", name)} ${revision ?? "is being deployed"}: ${describeTraffic(traffic, revision)}`,
		...(url === undefined ? [] : [`  ${url}`]),
		...tags.map(([tag, tagUrl]) => `  ${tagUrl}  (${tag})`),
		"",
		...(url === undefined ? [] : [`  curl ${url}`]),
		`  slipway service watch ${name}${where}`,
	].join("\n");
}
