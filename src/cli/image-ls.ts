import { formatBytes, formatDuration, shortDigest, table } from "./format.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "image ls [--json]",
	summary: "List the images of the built-in registry",
	positionals: [0, 0],
	options: jsonOption,
	examples: [["slipway image ls", ""]],
	run: list,
};

async function list({ context, values }: Call): Promise<number> {
	const images = await context.client().images();
	if (values.json) {
		context.printJson(images);
		return exitCodes.ok;
	}
	const rows = images.map((image) => [
		image.repository,
		image.tag ?? "-",
		shortDigest(image.digest),
		formatBytes(image.size),
		`${formatDuration(Date.now() - image.pushedMs)} ago`,
	]);
	context.print(table(["REPOSITORY", "TAG", "DIGEST", "SIZE", "PUSHED"], rows));
	return exitCodes.ok;
}
