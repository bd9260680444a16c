import type { IncomingMessage } from "node:http";
import { http } from "../../base/http.ts";

/** GET of a JSON document. Rejects with a reason for a person. */
export type FetchJson = (url: string) => Promise<unknown>;

/** Milliseconds until the document is there. */
const timeoutMs = 5000;
/** Bytes: a hundred keys with their certificates. */
const maxBytes = 512 * 1024;

/** Follows no redirect, so that nobody but the one who was named says what the keys are. */
export const fetchJson: FetchJson = async (url) => {
	const { request } = url.startsWith("https:") ? await import("node:https") : http;
	return new Promise((resolve, reject) => {
		const signal = AbortSignal.timeout(timeoutMs);
		const outgoing = request(url, { headers: { accept: "application/json" }, agent: false, signal }, (response) => {
			readAll(response)
				.then((text) => resolve(JSON.parse(text)))
				.catch(reject);
		});
		outgoing.on("error", reject);
		outgoing.end();
	});
};

async function readAll(response: IncomingMessage): Promise<string> {
	const chunks: Buffer[] = [];
	let size = 0;
	if (response.statusCode !== 200) {
		response.destroy();
		throw new Error(`The server answered ${response.statusCode}`);
	}
	for await (const chunk of response) {
		size += (chunk as Buffer).length;
		if (size > maxBytes) throw new Error(`The document is longer than ${maxBytes} bytes`);
		chunks.push(chunk as Buffer);
	}
	return Buffer.concat(chunks).toString();
}
