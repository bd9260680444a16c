import { SlipwayError } from "../../base/error.ts";
import type { RunnableImage } from "../../core/function/function.ts";
import type { FunctionImages } from "../functions/function-images.ts";

const digest = `sha256:${"a".repeat(64)}` as const;

const image: RunnableImage = {
	diffIds: [digest],
	entrypoint: ["/bin/app"],
	cmd: ["serve"],
	env: { PATH: "/bin" },
	workingDir: "",
	user: "",
	architecture: "amd64",
	size: 1,
};

/** Every image is there but "missing"; "broken" can be found and not unpacked, "slow" is being unpacked until `finish`. */
export class FakeJobImages implements Pick<FunctionImages, "resolve" | "prepare"> {
	prepared: string[] = [];
	readonly #slow = Promise.withResolvers<void>();

	finish(): void {
		this.#slow.resolve();
	}

	async resolve(...[imageUri, , options]: Parameters<FunctionImages["resolve"]>) {
		if (imageUri.includes("index") && !options?.fromIndex)
			throw new SlipwayError("INVALID_IMAGE", `'${imageUri}' is an index`);
		if (imageUri.includes("missing"))
			throw new SlipwayError("INVALID_IMAGE", `Image '${imageUri}' was not found`, { reason: "ImageNotFound" });
		return { resolvedImageUri: `${imageUri.split(":")[0]}@${digest}`, manifestDigest: digest, image };
	}

	async prepare(...[imageUri, , options]: Parameters<FunctionImages["prepare"]>) {
		if (imageUri.includes("slow")) {
			options?.onProgress?.({ stage: "unpack", done: 25, total: 100 });
			await this.#slow.promise;
		}
		if (imageUri.includes("broken")) throw new SlipwayError("INVALID_IMAGE", "A layer breaks a rule");
		this.prepared.push(imageUri);
	}
}

/** A job of one container, as a client sends it. */
export function jobManifest(name: string, change: { image?: string; execution?: object; task?: object } = {}): object {
	return {
		apiVersion: "run.googleapis.com/v1",
		kind: "Job",
		metadata: { name },
		spec: {
			template: {
				spec: {
					...change.execution,
					template: {
						spec: {
							containers: [{ image: change.image ?? "127.0.0.1/app:1", env: [{ name: "A", value: "b" }] }],
							...change.task,
						},
					},
				},
			},
		},
	};
}

export function workerManifest(
	name: string,
	change: { image?: string; instances?: number; spec?: object; container?: object } = {},
): object {
	return {
		apiVersion: "run.googleapis.com/v1",
		kind: "WorkerPool",
		metadata: {
			name,
			annotations:
				change.instances === undefined ? {} : { "run.googleapis.com/manualInstanceCount": String(change.instances) },
		},
		spec: {
			template: {
				spec: { containers: [{ image: change.image ?? "127.0.0.1/app:1", ...change.container }], ...change.spec },
			},
		},
	};
}
