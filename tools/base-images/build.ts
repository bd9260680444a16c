import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { findGo } from "../go.ts";
import { run } from "../run.ts";
import { packImage } from "./archive.ts";
import type { Recipe } from "./recipes.ts";

const here = import.meta.dirname;
/** The Debian release whose Python is 3.11, the version in the image's name. */
const suite = "bookworm";
/** Counts up when archive.ts or this file makes something else of the same recipe. */
const formatVersion = 1;
/** Nobody reads them inside a function; they are a quarter of the size. */
const leftOut = ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*"];

export const cacheFolder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "slipway", "base-images");

/** Builds the image unless this very recipe was built before; returns its archive's path. */
export async function buildBaseImage(recipe: Recipe, say: (line: string) => void): Promise<string> {
	const certificates = await trustedCertificates();
	const archive = join(cacheFolder, `${recipe.folder}-${await recipeHash(recipe, certificates)}.tar`);
	if (await exists(archive)) return archive;
	await mkdir(cacheFolder, { recursive: true });
	const started = performance.now();
	say(`building a stand-in for ${recipe.name} from Debian packages (once; kept in ${cacheFolder})`);
	const work = await mkdtemp(join(tmpdir(), "slipway-base-"));
	try {
		const environment = {
			...process.env,
			...recipe.variables,
			TRUSTED_CERTIFICATES: certificates,
			EMULATOR: await buildEmulator(work),
			...(await fetchPackages(recipe, work)),
		};
		const rootTar = join(work, "root.tar");
		await makeRoot(recipe, rootTar, environment);
		await packImage(rootTar, recipe, archive);
	} finally {
		await rm(work, { recursive: true, force: true });
	}
	say(`built ${recipe.name} in ${Math.round((performance.now() - started) / 1000)} s`);
	return archive;
}

async function makeRoot(recipe: Recipe, target: string, env: NodeJS.ProcessEnv): Promise<void> {
	const words = [
		"--variant=minbase",
		"--quiet",
		`--include=${recipe.packages.join(",")}`,
		...leftOut.map((pattern) => `--dpkgopt=path-exclude=${pattern}`),
		`--customize-hook=${join(here, recipe.folder, "customize.sh")}`,
		suite,
		target,
	];
	await run("mmdebstrap", words, { env });
}

async function buildEmulator(work: string): Promise<string> {
	const target = join(work, "aws-lambda-rie");
	const go = await findGo();
	const env = { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-buildvcs=false" };
	await run(go, ["build", "-trimpath", "-ldflags", "-s -w", "-o", target, "."], { cwd: join(here, "emulator"), env });
	return target;
}

async function fetchPackages(recipe: Recipe, work: string): Promise<Record<string, string>> {
	const variables: Record<string, string> = {};
	for (const [variable, name] of Object.entries(recipe.npm ?? {})) {
		const folder = await mkdtemp(join(work, "npm-"));
		await run("npm", ["pack", "--silent", "--pack-destination", folder, name], { cwd: work });
		const [file] = await readdir(folder);
		if (file === undefined) throw new Error(`npm pack ${name} left no file`);
		variables[variable] = join(folder, file);
	}
	return variables;
}

/** The authorities that this machine trusts, its own additions among them. */
async function trustedCertificates(): Promise<string> {
	const { SSL_CERT_FILE, NODE_EXTRA_CA_CERTS } = process.env;
	for (const path of [SSL_CERT_FILE, NODE_EXTRA_CA_CERTS, "/etc/ssl/certs/ca-certificates.crt"])
		if (path !== undefined && (await exists(path))) return path;
	throw new Error("This machine has no certificate bundle; install the package ca-certificates");
}

async function recipeHash(recipe: Recipe, certificates: string): Promise<string> {
	const hash = createHash("sha256").update(JSON.stringify([formatVersion, recipe, suite, leftOut, process.arch]));
	const shared = ["common.sh", "lambda-entrypoint.sh", "emulator/main.go"].map((name) => join(here, name));
	const own = (await readdir(join(here, recipe.folder))).sort().map((name) => join(here, recipe.folder, name));
	for (const path of [...shared, ...own, certificates]) hash.update(await readFile(path));
	return hash.digest("hex").slice(0, 16);
}

async function exists(path: string): Promise<boolean> {
	return (await stat(path).catch(() => undefined)) !== undefined;
}
