import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { findGo } from "../../../tools/go.ts";
import { attempt, run } from "../../../tools/run.ts";

/** Of knative.dev/serving, where no source folder is given. */
export const suiteVersion = "v0.51.0";
/** The same in the repository, where Knative counts from 1.0, which was v0.27. */
const suiteTag = "knative-v1.24.0";
const moduleName = "knative.dev/serving";
/** A first build compiles client-go. */
const buildTimeoutMs = 20 * 60_000;

/** Folders of test/test_images, by the name that the suite gives the image. */
const imagePrograms: Record<string, string> = {
	autoscale: "autoscale",
	failing: "failing",
	hellovolume: "hellovolume",
	helloworld: "helloworld",
	pizzaplanetv1: "pizzaplanetv1",
	pizzaplanetv2: "pizzaplanetv2",
	readiness: "readiness",
	runtime: "runtime",
	servingcontainer: "multicontainer/servingcontainer",
	sidecarcontainer: "multicontainer/sidecarcontainer",
	singlethreaded: "singlethreaded",
	timeout: "timeout",
	volumes: "volumes",
};

export interface BuiltSuite {
	/** What was built, for people. */
	origin: string;
	go: string;
	/** The test programs. */
	api: string;
	runtime: string;
	/** Paths of the programs that go into the images, by image name. */
	images: ReadonlyMap<string, string>;
}

/**
 * Builds the conformance tests and the programs of their images from a checkout of knative/serving, or else from its module, which Go
 * fetches. What was built last time makes the next build short.
 */
export async function buildSuite(options: { source: string | undefined }): Promise<BuiltSuite> {
	const go = await findGo().catch((error: unknown) => {
		throw new Error(
			"The suite is built with Go 1.26 or later, which is not here: install it (https://go.dev/doc/install)",
			{ cause: error },
		);
	});
	const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "slipway", "knative-suite");
	await mkdir(cache, { recursive: true });
	const { folder, origin } = options.source
		? { folder: options.source, origin: await describeCheckout(options.source) }
		: await copyOfModule(go, cache);
	const build = (words: string[]) =>
		run(go, words, { cwd: folder, env: goEnvironment(folder), timeoutMs: buildTimeoutMs }).catch((error: unknown) => {
			throw options.source === undefined ? notFromModule(error) : error;
		});
	const testProgram = async (name: string, tests: string) => {
		console.error(`Building ${tests}`);
		await build(["test", "-c", "-tags=e2e", "-o", join(cache, name), `./${tests}`]);
		return join(cache, name);
	};
	const api = await testProgram("api.test", "test/conformance/api/v1");
	const runtime = await testProgram("runtime.test", "test/conformance/runtime");
	const images = new Map<string, string>();
	for (const [name, path] of Object.entries(imagePrograms)) {
		const program = join(cache, "images", name);
		await build(["build", "-trimpath", "-ldflags=-s -w", "-o", program, `./test/test_images/${path}`]);
		images.set(name, program);
	}
	return { origin, go, api, runtime, images };
}

/** The module's zip is without the vendor folder of its repository (go.dev/ref/mod, "Module zip files"): a module proxy has to have all it needs. */
function notFromModule(cause: unknown): Error {
	const [, module, answer] = /(\S+@v\S+): reading \S+: (.*)$/m.exec(String(cause)) ?? [];
	return new Error(
		`Go can't build the suite from the module ${moduleName} ${suiteVersion} alone${module ? ` (${module}: ${answer})` : `: ${cause}`}. A checkout has all that it needs in its vendor folder:
  git clone --depth 1 --branch ${suiteTag} https://github.com/knative/serving
  npm run conformance:knative -- --source serving`,
		{ cause },
	);
}

/** Static programs, of the checkout's own vendor folder where it has one. */
function goEnvironment(folder: string): NodeJS.ProcessEnv {
	const vendored = existsSync(join(folder, "vendor/modules.txt"));
	return { ...process.env, CGO_ENABLED: "0", GOFLAGS: `-buildvcs=false -mod=${vendored ? "vendor" : "mod"}` };
}

async function describeCheckout(folder: string): Promise<string> {
	const module = join(folder, "go.mod");
	const needs = existsSync(module) ? readFileSync(module, "utf8") : "";
	if (!existsSync(join(folder, "test/conformance/api/v1")) || !needs.includes(`module ${moduleName}`))
		throw new Error(`${folder} is no checkout of knative/serving`);
	const pkg = /^\s*(knative\.dev\/pkg \S+)/m.exec(needs)?.[1];
	const { code, stdout } = await attempt("git", ["-C", folder, "log", "-1", "--format=%h of %cs"], {
		timeoutMs: 10_000,
	});
	const commit = code === 0 && existsSync(join(folder, ".git")) ? stdout.trim() : undefined;
	return `knative/serving ${commit ?? `from a folder without its history${pkg ? `, which needs ${pkg}` : ""}`}`;
}

/** The module cache can't be written to, and Go completes go.sum as it builds. */
async function copyOfModule(go: string, cache: string): Promise<{ folder: string; origin: string }> {
	const folder = join(cache, `serving-${suiteVersion}`);
	const origin = `${moduleName} ${suiteVersion}`;
	if (existsSync(join(folder, ".complete"))) return { folder, origin };
	console.error(`Fetching ${moduleName}@${suiteVersion}`);
	const told = await run(go, ["mod", "download", "-json", `${moduleName}@${suiteVersion}`], {
		timeoutMs: buildTimeoutMs,
	});
	const { Dir } = JSON.parse(told) as { Dir: string };
	await rm(folder, { recursive: true, force: true });
	await run("cp", ["-r", Dir, folder]);
	await run("chmod", ["-R", "u+w", folder]);
	await run("touch", [join(folder, ".complete")]);
	return { folder, origin };
}
