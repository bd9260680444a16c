/** Images of web servers as their frameworks' authors have them: what a service is told and asked is in the tests. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../tools/run.ts";
import type { ImageSource } from "../runtimes/image.ts";
import { buildGo } from "./go-program.ts";

const here = import.meta.dirname;

const installNpm = async (context: string) =>
	void (await run("npm", ["install", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: context }));

export const functionsFrameworkImage: ImageSource = {
	name: "functions-framework",
	folder: join(here, "functions-framework"),
	prepare: installNpm,
};

export const expressImage: ImageSource = { name: "express", folder: join(here, "express"), prepare: installNpm };

export const asgiImage: ImageSource = {
	name: "asgi",
	folder: join(here, "asgi"),
	prepare: async (context) => {
		const words = ["install", "--quiet", "--target", "packages", "-r", "requirements.txt"];
		// Debian 12's Python, as the base image has it; this machine's own may be another.
		const platform = ["--python-version", "3.11", "--only-binary=:all:"];
		await run("pip3", [...words, ...platform], { cwd: context });
	},
};

export const nginxImage: ImageSource = { name: "nginx", folder: join(here, "nginx") };

export const grpcImage: ImageSource = {
	name: "grpc",
	folder: join(here, "grpc"),
	prepare: async (context) => {
		await buildGo(context, "./server", join(context, "main"));
		// The client's sources are no part of the image.
		await rm(join(context, "client"), { recursive: true });
	},
};
