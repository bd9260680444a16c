import { open } from "node:fs/promises";
import { SlipwayError, systemCode } from "../base/error.ts";
import { printStored } from "./image-pull.ts";
import { ProgressBars } from "./progress.ts";
import { type Call, exitCodes, jsonOption, text, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "image import FILE [--repository NAME[:TAG]]",
	summary: "Import an archive made by `docker save`, or in the OCI layout",
	positionals: [1, 1],
	options: {
		repository: { type: "string", short: "r", value: "NAME", description: "Name, in the place of the archive's own" },
		...jsonOption,
	},
	examples: [
		["docker save hello:1 -o hello.tar && slipway image import hello.tar", ""],
		["slipway image import layout.tar --repository team/hello:1", ""],
	],
	run: importArchive,
};

async function importArchive({ context, values, positionals: [path = ""] }: Call): Promise<number> {
	const client = context.client();
	await using file = await open(path).catch((error: unknown) => {
		if (systemCode(error) === undefined) throw error;
		throw new SlipwayError("INVALID", `The archive '${path}' can't be read: ${(error as Error).message}`);
	});
	const info = await file.stat();
	if (!info.isFile()) throw new SlipwayError("INVALID", `'${path}' is not a file`);
	using bars = new ProgressBars(context.err);
	const stream = file.readableWebStream({ autoClose: false }) as ReadableStream<Uint8Array>;
	const images = await client.importImage(stream, info.size, {
		repository: text(values.repository),
		onProgress: (progress) => bars.update(progress),
	});
	bars[Symbol.dispose]();
	printStored(context, values.json === true, images);
	return exitCodes.ok;
}
