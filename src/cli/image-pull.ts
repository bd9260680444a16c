import type { StoredImage } from "../client/schema.ts";
import type { Context } from "./context.ts";
import { ProgressBars } from "./progress.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "image pull REFERENCE",
	summary: "Copy an image from another registry into the built-in one",
	positionals: [1, 1],
	options: jsonOption,
	examples: [["slipway image pull registry.example.com/team/hello:1", ""]],
	run: pull,
};

async function pull({ context, values, positionals: [reference = ""] }: Call): Promise<number> {
	using bars = new ProgressBars(context.err);
	const images = await context.client().pullImage(reference, (progress) => bars.update(progress));
	bars[Symbol.dispose]();
	printStored(context, values.json === true, images);
	return exitCodes.ok;
}

export function printStored(context: Context, json: boolean, images: readonly StoredImage[]): void {
	if (json) return context.printJson(images);
	for (const { references, digest } of images)
		for (const reference of references.length > 0 ? references : ["(no name)"])
			context.print(`${reference}  ${digest}`);
}
