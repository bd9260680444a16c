/** Making files appear whole or not at all, and stay after a power cut. */
import { type FileHandle, open, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** fsync(2) of a folder: what was created, renamed or removed in it is on the disk. */
export async function syncFolder(path: string): Promise<void> {
	const folder = await open(path, "r");
	try {
		await folder.sync();
	} finally {
		await folder.close();
	}
}

/** Puts the content of `temporary` on the disk, then lets it appear at `target`, replacing what is there. */
export async function publish(temporary: string, target: string): Promise<void> {
	const file = await open(temporary, "r");
	try {
		await file.sync();
	} finally {
		await file.close();
	}
	await rename(temporary, target);
	await syncFolder(dirname(target));
}

/** write(2) may write less than it was given, as it does on the last bytes of a full disk. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
	for (let done = 0; done < bytes.length; ) {
		const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
		done += bytesWritten;
	}
}
