/** Manifests of jobs and workers: from a file, or from an image and options. */
import { SlipwayError } from "../base/error.ts";
import {
	commandOptions,
	envOption,
	listOf,
	mergePairs,
	namespaceOf,
	namespaceOption,
	pairsOf,
	usage,
	volumesOf,
} from "./options.ts";
import { referenceOf } from "./service-deploy.ts";
import { nameOfImage } from "./service-manifest.ts";
import { type Call, jsonOption, text, type Verb } from "./verb.ts";

export const deployOptions = {
	file: { type: "string", short: "f", value: "FILE", description: "Manifests instead of an image and options" },
	name: { type: "string", value: "NAME", description: "Name (the image's)" },
	...envOption,
	cpu: { type: "string", value: "CPUS", description: "Such as 500m or 2 (1)" },
	memory: { type: "string", short: "m", value: "BYTES", description: "Such as 512Mi or 1Gi (512Mi)" },
	...commandOptions,
	...namespaceOption,
	...jsonOption,
} as const satisfies Verb["options"];

type Kind = "Job" | "WorkerPool";

/** Applies what the call asks for. `build` makes the manifest around the container that the options describe. */
export async function deployWorkload<T>(
	call: Call,
	kind: Kind,
	build: (name: string, namespace: string, container: object) => object,
	apply: (namespace: string, manifest: object) => Promise<T>,
): Promise<T[]> {
	const { context, values, positionals } = call;
	const file = text(values.file);
	const [image] = positionals;
	if ((file === undefined) === (image === undefined)) throw usage("Either IMAGE or -f FILE is needed");
	if (file !== undefined) return applyFile(call, kind, file, apply);
	const namespace = namespaceOf(call);
	const reference = await referenceOf(context.client(), image!);
	const manifest = build(text(values.name) ?? nameOfImage(image!), namespace, containerOf(call, reference));
	return [await apply(namespace, manifest)];
}

async function applyFile<T>(
	{ values }: Call,
	kind: Kind,
	file: string,
	apply: (namespace: string, manifest: object) => Promise<T>,
): Promise<T[]> {
	const { readManifests, withPlaces } = await import("./manifest-file.ts");
	const applied: T[] = [];
	for (const document of await readManifests(file)) {
		const { manifest, locate } = document;
		if (manifest.kind !== kind)
			throw new SlipwayError("INVALID", `${locate(["kind"])}: kind is '${String(manifest.kind)}': it must be ${kind}`);
		const metadata = manifest.metadata as { namespace?: unknown } | undefined;
		const given = typeof metadata?.namespace === "string" ? metadata.namespace : undefined;
		try {
			applied.push(await apply(text(values.namespace) ?? given ?? "default", manifest));
		} catch (error) {
			throw withPlaces(error, document);
		}
	}
	return applied;
}

function containerOf({ values }: Call, image: string): object {
	const env = mergePairs([], pairsOf("env", values.env));
	const [command, args] = [listOf(values.command), listOf(values.args)];
	const [cpu, memory] = [text(values.cpu), text(values.memory)];
	const { mounts } = volumesOf(values.volume);
	const limits = { ...(cpu !== undefined && { cpu }), ...(memory !== undefined && { memory }) };
	return {
		image,
		...(env.length > 0 && { env }),
		...(command.length > 0 && { command }),
		...(args.length > 0 && { args }),
		...(Object.keys(limits).length > 0 && { resources: { limits } }),
		...(mounts.length > 0 && { volumeMounts: mounts }),
	};
}
