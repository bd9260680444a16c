import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import type { Fetch } from "./client.ts";

/**
 * fetch without its time limits: Node's gives up after 300 s without a byte, and a function may take 900 (Lambda quota
 * "Function timeout"), a quiet log for ever. The connection is not kept: a command makes one call and ends.
 */
export const nodeFetch: Fetch = (url, { method = "GET", headers, body, signal }) =>
	new Promise((resolve, reject) => {
		const send = url.protocol === "https:" ? httpsRequest : httpRequest;
		const request = send(url, { method, headers, signal, agent: false }, (answer) => {
			const fields = Object.entries(answer.headersDistinct).flatMap(([name, values = []]) =>
				values.map((value): [string, string] => [name, value]),
			);
			const status = answer.statusCode ?? 500;
			const content = status === 204 ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array<ArrayBuffer>>);
			resolve(new Response(content, { status, headers: fields }));
		});
		request.once("error", (error) => reject(new TypeError("fetch failed", { cause: error })));
		if (body instanceof ReadableStream)
			// The request's own error event tells the failure; the answer may have come before the body was through.
			pipeline(Readable.fromWeb(body as NodeReadableStream), request).catch((error) => reject(error));
		else request.end(body);
	});
