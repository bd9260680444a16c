import { findGo } from "../../tools/go.ts";
import { run } from "../../tools/run.ts";

/** Compiles a package of the module in `folder` to the file `target`, a program that needs no libraries. */
export async function buildGo(folder: string, name: string, target: string): Promise<void> {
	const env = { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-buildvcs=false" };
	await run(await findGo(), ["build", "-trimpath", "-ldflags", "-s -w", "-o", target, name], { cwd: folder, env });
}
