import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attempt, isThere, run } from "./run.ts";

/** A program that builds images from Dockerfiles and pushes them. */
export interface Builder {
	readonly name: string;
	has(image: string): Promise<boolean>;
	/** Takes an archive in `docker save`'s form; the image has the archive's name afterwards. */
	load(archive: string): Promise<void>;
	build(folder: string, image: string): Promise<void>;
	save(image: string, archive: string): Promise<void>;
	/** Pushes to a plain-HTTP registry on this machine. */
	push(image: string, target: string, login: Login): Promise<void>;
}

export interface Login {
	username: string;
	password: string;
}

/** A Docker engine where one answers, buildah otherwise. */
export async function findBuilder(env: NodeJS.ProcessEnv = process.env): Promise<Builder> {
	if ((await attempt("docker", ["info"], { env, timeoutMs: 10_000 })).code === 0) return dockerBuilder(env);
	if (await isThere("buildah")) return await buildahBuilder();
	throw new Error("Neither a Docker engine nor buildah is here to build images; run `npm run setup`");
}

function dockerBuilder(env: NodeJS.ProcessEnv): Builder {
	const docker = (...words: string[]) => run("docker", words, { env });
	return {
		name: "docker",
		has: async (image) => (await attempt("docker", ["image", "inspect", image], { env })).code === 0,
		load: async (archive) => void (await docker("load", "--quiet", "--input", archive)),
		// The host's network: name lookups work as they do on the machine, whatever the engine's bridge allows.
		build: async (folder, image) => void (await docker("build", "--quiet", "--network=host", "--tag", image, folder)),
		save: async (image, archive) => void (await docker("save", "--output", archive, image)),
		async push(image, target, login) {
			// The login is kept in a folder of its own, not in the user's ~/.docker.
			const folder = await mkdtemp(join(tmpdir(), "slipway-login-"));
			try {
				const auth = Buffer.from(`${login.username}:${login.password}`).toString("base64");
				const auths = { [target.split("/")[0] as string]: { auth } };
				await writeFile(join(folder, "config.json"), JSON.stringify({ auths }), { mode: 0o600 });
				await docker("tag", image, target);
				await run("docker", ["push", "--quiet", target], { env: { ...env, DOCKER_CONFIG: folder } });
			} finally {
				await rm(folder, { recursive: true, force: true });
			}
		},
	};
}

async function buildahBuilder(): Promise<Builder> {
	const storage = await storageWords();
	const buildah = (...words: string[]) => run("buildah", [...storage, ...words]);
	return {
		name: "buildah",
		has: async (image) => (await attempt("buildah", [...storage, "inspect", "--type", "image", image])).code === 0,
		load: async (archive) => void (await buildah("pull", "--quiet", `docker-archive:${archive}`)),
		build: async (folder, image) =>
			// chroot isolation: works without cgroups or user namespaces of its own, also inside a container.
			void (await buildah(
				...["build", "--quiet", "--isolation=chroot", "--network=host", "--pull=never", "--format=docker"],
				...["--layers", "--tag", image, folder],
			)),
		save: async (image, archive) => {
			await rm(archive, { force: true });
			await buildah("push", "--quiet", image, `docker-archive:${archive}:${image}`);
		},
		async push(image, target, login) {
			const folder = await mkdtemp(join(tmpdir(), "slipway-login-"));
			try {
				const file = join(folder, "auth.json");
				const auth = Buffer.from(`${login.username}:${login.password}`).toString("base64");
				const auths = { [target.split("/")[0] as string]: { auth } };
				await writeFile(file, JSON.stringify({ auths }), { mode: 0o600 });
				await buildah("push", "--quiet", "--tls-verify=false", "--authfile", file, image, `docker://${target}`);
			} finally {
				await rm(folder, { recursive: true, force: true });
			}
		},
	};
}

/** Overlay storage where the kernel allows it below this folder, plain copies otherwise. */
async function storageWords(): Promise<string[]> {
	const overlay = await attempt("buildah", ["images", "--quiet"]);
	return overlay.code === 0 ? [] : ["--storage-driver=vfs"];
}
