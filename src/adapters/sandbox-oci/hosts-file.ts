import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { hostsLines } from "../../core/sandbox/sandbox-names.ts";

/**
 * One /etc/hosts that is mounted in every sandbox: rewritten in place, because a mount is of the file and not of its name. Who
 * reads it meanwhile finds the names that were there before and after.
 */
export class HostsFile implements Disposable {
	readonly #fd: number;
	readonly #head: string;
	#names: Readonly<Record<string, string>> = {};
	#text: string;

	/** The first lines, which stay as they are. */
	constructor(path: string, head: string) {
		this.#fd = openSync(path, "w", 0o644);
		this.#head = head;
		this.#text = "";
		this.#write(head);
	}

	/** In place of the last ones; those that stay keep their place, and new ones come last. */
	publish(names: Readonly<Record<string, string>>): void {
		const staying = Object.entries(this.#names).filter(([name, address]) => names[name] === address);
		this.#names = { ...Object.fromEntries(staying), ...names };
		this.#write(this.#head + hostsLines(this.#names));
	}

	/** Where there are but more names, nobody sees anything but whole lines. */
	#write(text: string): void {
		const old = this.#text;
		if (text === old) return;
		const added = text.startsWith(old);
		// Were it cut short, the next would begin anew.
		if (!added) this.#text = "";
		const data = Buffer.from(added ? text.slice(old.length) : text);
		writeAll(this.#fd, data, added ? Buffer.byteLength(old) : 0);
		// Shorter only after the new text is there: what is cut off are rests of old lines.
		ftruncateSync(this.#fd, Buffer.byteLength(text));
		this.#text = text;
	}

	[Symbol.dispose](): void {
		closeSync(this.#fd);
	}
}

function writeAll(fd: number, data: Buffer, at: number): void {
	for (let written = 0; written < data.length; )
		written += writeSync(fd, data, written, data.length - written, at + written);
}
