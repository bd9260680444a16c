import { z } from "zod";
import { type Progress, pullSchema, type StoredImage } from "../../client/schema.ts";
import { announcedLength, withBodyFile } from "./body.ts";
import { NdjsonWriter, throttled } from "./ndjson.ts";
import type { ApiDeps } from "./ports.ts";
import { type Call, type Route, route } from "./route.ts";

const importQuery = z.strictObject({
	repository: z
		.string()
		.max(255)
		.optional()
		.describe("Repository for an archive that names none, or instead of its own"),
});
const params = {
	reference: z.string().min(1).max(2048).describe("repository:tag, repository@digest, or with the registry"),
};

export function imageRoutes(deps: ApiDeps): Route[] {
	const { images } = deps;
	return [
		route({
			id: "listImages",
			method: "GET",
			path: "/images",
			summary: "Images of the built-in registry",
			answer: { kind: "json", status: 200, component: "ImageList" },
			handle: async () => ({ images: await images.list() }),
		}),
		route({
			id: "inspectImage",
			method: "GET",
			path: "/images/{reference}",
			summary: "One image: platforms, configuration and layers",
			params,
			answer: { kind: "json", status: 200, component: "ImageDetail" },
			handle: ({ params }) => images.inspect(params.reference!),
		}),
		route({
			id: "removeImage",
			method: "DELETE",
			path: "/images/{reference}",
			summary: "Remove a tag, or by digest an image with all its tags",
			params,
			answer: { kind: "none", status: 204 },
			handle: ({ params }) => images.remove(params.reference!),
		}),
		route({
			id: "pullImage",
			method: "POST",
			path: "/images/pull",
			summary: "Copy an image from another registry; progress, then the result",
			body: { kind: "json", component: "PullImage" },
			input: pullSchema,
			answer: { kind: "stream", component: "ImageStreamLine" },
			handle: (call) =>
				streamed(deps, call, async (onProgress) => {
					const { reference, digest } = await images.pull(call.input.reference, { onProgress, signal: call.gone });
					return [{ references: [reference], digest }];
				}),
		}),
		route({
			id: "importImage",
			method: "POST",
			path: "/images/import",
			summary: "Import an archive made by `docker save` or in the OCI layout; progress, then the result",
			query: importQuery,
			body: { kind: "raw", mediaType: "application/x-tar" },
			answer: { kind: "stream", component: "ImageStreamLine" },
			handle: (call) => importImage(deps, call),
		}),
	];
}

function importImage(deps: ApiDeps, call: Call<z.output<typeof importQuery>, unknown>): Promise<void> {
	const { request, requestId, query, gone } = call;
	const total = announcedLength(request);
	return streamed(deps, call, (onProgress) =>
		withBodyFile(
			request,
			{
				folder: deps.importFolder,
				name: `import-${requestId}`,
				maxBytes: deps.importMaxBytes,
				onBytes: (done) => onProgress({ stage: "receive", done, total }),
			},
			(path) => deps.images.importArchive(path, { repository: query.repository, onProgress, signal: gone }),
		),
	);
}

/** The head is sent with the first progress: what fails before that still gets its own status. */
async function streamed(
	deps: ApiDeps,
	{ response, gone }: Call<unknown, unknown>,
	work: (onProgress: (progress: Progress) => void) => Promise<StoredImage[]>,
): Promise<void> {
	let writer: NdjsonWriter | undefined;
	const offer = throttled<Progress>(
		() => deps.clock.monotonic(),
		({ stage, digest }) => `${stage} ${digest ?? ""}`,
		(progress) => {
			writer ??= new NdjsonWriter(response, gone);
			writer.offer({ type: "progress", ...progress });
		},
	);
	const images = await work(offer);
	writer ??= new NdjsonWriter(response, gone);
	await writer.write({ type: "result", images });
	writer.end();
}
