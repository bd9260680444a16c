/** The image of subject/main.go, the server that does what a request asks of it: one program and nothing else. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LocalDaemon } from "../../tools/local-daemon.ts";
import { pushFiles } from "../e2e/function-image.ts";
import { buildGo } from "./go-program.ts";

/** What it answers with to `/`. */
export interface Told {
	revision: string;
	/** Of the process, made when it starts. */
	instance: string;
	/** Requests that this process has had, this one included. */
	served: number;
	active: number;
	/** Most requests at a time. */
	peak: number;
	method: string;
	path: string;
	host: string;
	proto: string;
	headers: Record<string, string[]>;
	body: string;
	env: Record<string, string>;
	args: string[];
}

let built: Promise<Buffer> | undefined;

/** Pushes it as `registry/NAME:v1` and returns the reference. */
export async function pushSubject(
	daemon: LocalDaemon,
	name = "subject",
	config: Record<string, unknown> = {},
): Promise<string> {
	built ??= build();
	return await pushFiles(daemon, name, { subject: await built }, { Entrypoint: ["/subject"], ...config });
}

async function build(): Promise<Buffer> {
	const folder = await mkdtemp(join(tmpdir(), "slipway-subject-"));
	try {
		await buildGo(join(import.meta.dirname, "subject"), ".", join(folder, "subject"));
		return await readFile(join(folder, "subject"));
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}
