import { closeSync, openSync, readSync } from "node:fs";
import { systemCode } from "../../base/error.ts";

/** Longer than any number. */
const text = Buffer.alloc(32);

/**
 * A number that the kernel shows in a file, read after every event: to open the file each time costs ten times what reading
 * it does. The kernel writes it anew for each read from the beginning.
 */
export class KeptNumber {
	readonly #path: string;
	#descriptor: number | undefined;

	constructor(path: string) {
		this.#path = path;
	}

	/** 0 when the file is not there, or no longer, and while this process may open no more files. */
	read(): number {
		try {
			this.#descriptor ??= openSync(this.#path, "r");
			return Number(text.toString("latin1", 0, readSync(this.#descriptor, text, 0, text.length, 0)));
		} catch (error) {
			// A descriptor of a group that has been removed still opens to nothing.
			if (["ENOENT", "ENODEV", "EMFILE", "ENFILE"].includes(systemCode(error) ?? "")) return 0;
			throw error;
		}
	}

	/** Lets go of the file; a later `read` opens it again. */
	close(): void {
		if (this.#descriptor !== undefined) closeSync(this.#descriptor);
		this.#descriptor = undefined;
	}
}
