import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findBuilder } from "../tools/builder.ts";

interface ImageConfig {
	Env: string[];
	WorkingDir?: string;
	Entrypoint?: string[];
	Cmd?: string[];
}

/** An image's files in a folder and what it starts, for processes outside of any sandbox. */
export interface ImageRoot extends Disposable {
	folder: string;
	args: string[];
	env: Record<string, string>;
}

/** Unpacked with tar, layer upon layer; what a layer deletes stays, which no image of the benches minds. */
export async function unpackImage(image: string): Promise<ImageRoot> {
	const base = mkdtempSync(join(tmpdir(), "slipway-bench-root-"));
	const dispose = () => rmSync(base, { recursive: true, force: true });
	try {
		const archive = join(base, "image.tar");
		await (await findBuilder()).save(image, archive);
		const saved = join(base, "saved");
		const folder = join(base, "root");
		for (const each of [saved, folder]) mkdirSync(each);
		execFileSync("tar", ["-xf", archive, "-C", saved]);
		rmSync(archive);
		const read = (file: string) => JSON.parse(readFileSync(join(saved, file), "utf8"));
		const [manifest] = read("manifest.json") as { Config: string; Layers: string[] }[];
		if (!manifest) throw new Error(`The archive of ${image} holds no image`);
		for (const layer of manifest.Layers)
			execFileSync("tar", ["-xf", join(saved, layer), "-C", folder, "--exclude=.wh.*", "--exclude=*/.wh.*"]);
		const { config } = read(manifest.Config) as { config: ImageConfig };
		rmSync(saved, { recursive: true });
		if (!existsSync(join(folder, "dev", "null")))
			execFileSync("mknod", ["-m", "666", join(folder, "dev/null"), "c", "1", "3"]);
		const args = ["env", "-C", config.WorkingDir ?? "/", ...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
		return { folder, args, env: functionEnvironment(config.Env), [Symbol.dispose]: dispose };
	} catch (error) {
		dispose();
		throw error;
	}
}

/** What the runtime clients ask for besides the image's own variables (docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html). */
function functionEnvironment(image: string[]): Record<string, string> {
	return {
		...Object.fromEntries(image.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)])),
		AWS_LAMBDA_FUNCTION_NAME: "bare",
		AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
		AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "3538",
		AWS_LAMBDA_LOG_GROUP_NAME: "/aws/lambda/bare",
		AWS_LAMBDA_LOG_STREAM_NAME: "bare",
		AWS_LAMBDA_INITIALIZATION_TYPE: "on-demand",
		AWS_REGION: "us-east-1",
		// Its files are not read-only, as a sandbox's are: without this the second start would find what the first has compiled.
		PYTHONDONTWRITEBYTECODE: "1",
	};
}
