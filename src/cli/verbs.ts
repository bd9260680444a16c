/** Every verb, in the order of the help. Modules are loaded when they are used: the command starts as fast as it can. */
import type { Verb } from "./verb.ts";

export interface Entry {
	name: string;
	summary: string;
	load: () => Promise<Verb>;
}

const entry = (name: string, summary: string, load: () => Promise<{ verb: Verb }>): Entry => ({
	name,
	summary,
	load: async () => (await load()).verb,
});

export const verbs: readonly Entry[] = [
	entry("up", "Start the daemon", () => import("./up.ts")),
	entry("down", "Stop the daemon", () => import("./down.ts")),
	entry("status", "Show what runs", () => import("./status.ts")),
	entry("env", "Print settings for the aws cli, SDKs and docker", () => import("./env.ts")),
	entry("doctor", "Check that this machine can run functions", () => import("./doctor.ts")),
	entry("invoke", "Invoke a function", () => import("./invoke.ts")),
	entry("logs", "Show a function's log", () => import("./logs.ts")),
	entry("ps", "List sandboxes", () => import("./ps.ts")),
	entry("function ls", "List functions", () => import("./function-ls.ts")),
	entry("function get", "Show one function", () => import("./function-get.ts")),
	entry("function create", "Create a function from an image", () => import("./function-create.ts")),
	entry("function spares", "Set what is kept ready of a function", () => import("./function-spares.ts")),
	entry("function stop", "Let functions go to zero now", () => import("./function-stop.ts")),
	entry("function rm", "Delete functions", () => import("./function-rm.ts")),
	entry("image ls", "List images of the built-in registry", () => import("./image-ls.ts")),
	entry("image inspect", "Show one image", () => import("./image-inspect.ts")),
	entry("image pull", "Copy an image from another registry", () => import("./image-pull.ts")),
	entry("image import", "Import an archive made by docker save", () => import("./image-import.ts")),
	entry("image rm", "Remove images", () => import("./image-rm.ts")),
	entry("version", "Print the version", () => import("./version.ts")),
];
