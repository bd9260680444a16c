/** Receipt handles: opaque to clients, and they alone know what was received; the daemon keeps nothing for each message. */
import { createHmac } from "node:crypto";
import { queueError } from "./queue-error.ts";

export interface Receipt {
	queue: string;
	/** Of the log's lease. */
	token: string;
	messageId: string;
	/** Epoch milliseconds. */
	receivedMs: number;
}

const version = "1";
const separator = "|";
/** Base64 characters: 96 bits. */
const signatureLength = 16;
/** Characters; ours are some 250. AWS's own are at most 1,024. */
const maxLength = 1024;

/**
 * Signed with the installation's key: a lease's token is a pair of small numbers, and by a made-up one the code of a function, which
 * may delete from queues, could delete whatever else is in the message log.
 */
export class ReceiptHandles {
	readonly #key: string;

	/** `key`: the same for as long as handles are to be known. */
	constructor(key: string) {
		this.#key = key;
	}

	write({ queue, token, messageId, receivedMs }: Receipt): string {
		const text = [version, queue, token, messageId, receivedMs.toString(36)].join(separator);
		return Buffer.from(`${this.#signature(text)}${separator}${text}`, "latin1").toString("base64");
	}

	/** Throws ReceiptHandleIsInvalid for what is no handle of that queue. */
	read(handle: string, queue: string): Receipt {
		const receipt = handle.length <= maxLength ? this.#parse(handle) : undefined;
		if (!receipt || receipt.queue !== queue)
			throw queueError(
				"ReceiptHandleIsInvalid",
				`The input receipt handle "${handle.slice(0, maxLength)}" is not a valid receipt handle.`,
			);
		return receipt;
	}

	#parse(handle: string): Receipt | undefined {
		if (!/^[A-Za-z0-9+/]+={0,2}$/.test(handle)) return undefined;
		const text = Buffer.from(handle, "base64").toString("latin1");
		const cut = text.indexOf(separator);
		if (cut === -1 || text.slice(0, cut) !== this.#signature(text.slice(cut + 1))) return undefined;
		const [its, queue, token, messageId, received, ...rest] = text.slice(cut + 1).split(separator);
		if (its !== version || rest.length > 0 || !queue || !token || !messageId || !received) return undefined;
		const receivedMs = Number.parseInt(received, 36);
		if (!Number.isSafeInteger(receivedMs)) return undefined;
		return { queue, token, messageId, receivedMs };
	}

	#signature(text: string): string {
		return createHmac("sha256", this.#key).update(text, "latin1").digest("base64url").slice(0, signatureLength);
	}
}
