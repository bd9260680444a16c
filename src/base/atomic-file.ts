import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { fromSystemError } from "./error.ts";

/** Temp, fsync, rename, fsync of the folder: after a crash the file is the old one or the new one, whole. */
export async function writeFileAtomic(path: string, text: string, mode: number): Promise<void> {
	const temporary = `${path}.${randomBytes(4).toString("hex")}.tmp`;
	try {
		const file = await open(temporary, "wx", mode);
		try {
			await file.writeFile(text);
			await file.sync();
		} finally {
			await file.close();
		}
		await rename(temporary, path);
		const folder = await open(dirname(path), "r");
		await folder.sync().finally(() => folder.close());
	} catch (error) {
		await rm(temporary, { force: true });
		throw fromSystemError(error, `writing ${path}`);
	}
}
