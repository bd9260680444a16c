/** The process's own surroundings, read in this folder only. */
import { homedir, totalmem } from "node:os";
import type { Machine } from "./config.ts";

export const processEnvironment: Readonly<Record<string, string | undefined>> = process.env;

export function thisMachine(): Machine {
	return { root: process.getuid?.() === 0, userHome: homedir(), memoryBytes: totalmem() };
}
