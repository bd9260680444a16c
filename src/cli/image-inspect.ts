import type { ImageDetailView } from "../client/schema.ts";
import { formatBytes, formatTime, shortDigest, table } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "image inspect REFERENCE [--json]",
	summary: "Show an image: platform, configuration, layers, and who runs it",
	positionals: [1, 1],
	options: jsonOption,
	examples: [["slipway image inspect hello:1", ""]],
	run: inspect,
};

async function inspect({ context, values, positionals: [reference = ""] }: Call): Promise<number> {
	const detail = await context.client().inspectImage(reference);
	if (values.json) context.printJson(detail);
	else context.print(describe(detail));
	return exitCodes.ok;
}

function describe(detail: ImageDetailView): string {
	const { image, manifests } = detail;
	const rows: string[][] = [
		["repository", detail.repository],
		["tags", detail.tags.join(", ") || "-"],
		["digest", detail.digest],
		["media type", detail.mediaType],
		["size", formatBytes(detail.size)],
		["pushed", formatTime(detail.pushedMs)],
		["used by", detail.usedBy.join(", ") || "-"],
	];
	if (image)
		rows.push(
			["platform", `${image.os}/${image.architecture}`],
			["entrypoint", JSON.stringify(image.entrypoint)],
			["cmd", JSON.stringify(image.cmd)],
			["workdir", image.workingDir || "/"],
			["user", image.user || "root"],
			...Object.entries(image.env).map(([key, value]) => ["env", `${key}=${value}`]),
			...image.layers.map((layer) => [
				"layer",
				`${shortDigest(layer.digest)}  ${formatBytes(layer.size)}${layer.unpacked ? ", unpacked" : ""}`,
			]),
		);
	for (const { platform, digest, size } of manifests ?? [])
		rows.push(["manifest", `${platform}  ${shortDigest(digest)}  ${formatBytes(size)}`]);
	return table(rows[0] ?? [], rows.slice(1));
}
