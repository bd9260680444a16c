/**
 * Idempotency keys over HTTP, for code in functions and services, at http://slipway.internal/v1/idempotency/KEY:
 *
 *     PUT    {"leaseSeconds"?, "ttlSeconds"?}      201 {"state":"claimed","token","attempt","leaseUntil"}
 *                                                  200 {"state":"completed","result","until"}
 *                                                  409 a problem with code IN_PROGRESS, and Retry-After
 *     POST   {"token","result"?,"ttlSeconds"?}     204; 412 when the claim was lost
 *     DELETE ?token=…                              204; 412 when the claim was lost
 *
 * KEY is percent-encoded. Errors are problems (RFC 9457). docs/idempotency.md.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";
import { SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { IdempotencyKey } from "../../core/idempotency/idempotency-store.ts";
import {
	type ClaimAnswer,
	type Idempotency,
	maxKeyBytes,
	maxResultBytes,
} from "../../engine/idempotency/idempotency.ts";
import { readBody } from "../api/body.ts";
import { sendProblem, toProblem } from "../api/problem.ts";

export const idempotencyPath = "/v1/idempotency/";
/** A result in JSON and what is put around it. */
const maxBodyBytes = maxResultBytes + 4096;
/** Seconds: a client that waits asks again, though the lease is long. */
const maxRetryAfterS = 5;

const claimSchema = z.strictObject({ leaseSeconds: z.number().optional(), ttlSeconds: z.number().optional() });
const completeSchema = z.strictObject({
	token: z.string().min(1).max(64),
	// It is JSON: it comes of JSON.parse.
	result: z.unknown().optional(),
	ttlSeconds: z.number().optional(),
});

export interface IdempotencyFrontDeps {
	idempotency: Pick<Idempotency, "claim" | "complete" | "release">;
	ids: Pick<Ids, "uuid">;
	log: Log;
}

export interface IdempotencyFront {
	/** `owner`: whose code asks (SandboxSpec.owner). Never rejects. */
	handle(request: IncomingMessage, response: ServerResponse, owner: string): Promise<void>;
}

export function createIdempotencyFront({ idempotency, ids, log }: IdempotencyFrontDeps): IdempotencyFront {
	const routes: Record<string, (key: IdempotencyKey, url: URL, request: IncomingMessage) => Promise<Answer>> = {
		PUT: async (key, _url, request) => claimed(await idempotency.claim(key, await readJson(request, claimSchema, {}))),
		POST: async (key, _url, request) => {
			const { token, result = null, ttlSeconds } = await readJson(request, completeSchema, undefined);
			const bytes = new TextEncoder().encode(written(result));
			await idempotency.complete(key, { token, result: bytes, ttlSeconds });
			return { status: 204 };
		},
		DELETE: async (key, url) => {
			const token = url.searchParams.get("token");
			if (!token) throw new SlipwayError("INVALID", "The query parameter 'token' is missing");
			await idempotency.release(key, token);
			return { status: 204 };
		},
	};
	return {
		async handle(request, response, owner) {
			const requestId = ids.uuid();
			response.setHeader("slipway-request-id", requestId);
			try {
				const url = new URL(request.url ?? "/", "http://slipway.internal");
				const key = keyOf(url, owner);
				const route = routes[request.method ?? ""];
				if (!route)
					throw new SlipwayError("INVALID", `${request.method} is no operation of a key; PUT, POST and DELETE are`);
				send(response, await route(key, url, request), requestId);
			} catch (error) {
				if (request.errored || response.destroyed) return; // the client has gone
				sendProblem(response, toProblem(error, requestId, log), error);
			}
		},
	};
}

/** JSON.stringify calls itself for what is nested, JSON.parse does not: some 100 KB of brackets are more than a stack. */
function written(result: unknown): string {
	try {
		return JSON.stringify(result);
	} catch (error) {
		if (!(error instanceof RangeError)) throw error;
		throw new SlipwayError("INVALID", "The result is nested too deeply", { cause: error });
	}
}

interface Answer {
	status: number;
	/** JSON. */
	text?: string;
	problem?: { detail: string; retryAfterS: number };
}

function claimed(answer: ClaimAnswer): Answer {
	const time = (ms: number) => new Date(ms).toISOString();
	if (answer.state === "claimed") {
		const { state, token, attempt, leaseUntilMs } = answer;
		return { status: 201, text: JSON.stringify({ state, token, attempt, leaseUntil: time(leaseUntilMs) }) };
	}
	if (answer.state === "completed") {
		// The result is JSON already: it is not read to be written again.
		const result = new TextDecoder().decode(answer.result);
		return { status: 200, text: `{"state":"completed","until":"${time(answer.untilMs)}","result":${result}}` };
	}
	const detail = `Another delivery is at this key, until ${time(answer.leaseUntilMs)} at the latest`;
	return { status: 409, problem: { detail, retryAfterS: maxRetryAfterS } };
}

function send(response: ServerResponse, { status, text, problem }: Answer, requestId: string): void {
	if (problem) {
		const body = {
			type: "about:blank",
			title: "IN_PROGRESS",
			status,
			detail: problem.detail,
			code: "IN_PROGRESS",
			requestId,
		};
		response.writeHead(status, {
			"content-type": "application/problem+json",
			"retry-after": String(problem.retryAfterS),
		});
		response.end(`${JSON.stringify(body)}\n`);
	} else if (text === undefined) response.writeHead(status).end();
	else {
		response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
		response.end(text);
	}
}

function keyOf({ pathname }: URL, owner: string): IdempotencyKey {
	if (owner === "") throw new SlipwayError("FORBIDDEN", "Keys are for the code of functions and services");
	const encoded = pathname.startsWith(idempotencyPath) ? pathname.slice(idempotencyPath.length) : "";
	if (encoded === "" || encoded.includes("/"))
		throw new SlipwayError("NOT_FOUND", `There is nothing at ${pathname.slice(0, 200)}`, {
			hint: `PUT ${idempotencyPath}KEY claims a key; a '/' in it is written %2F`,
		});
	if (encoded.length > 3 * maxKeyBytes) throw new SlipwayError("INVALID", `A key has at most ${maxKeyBytes} bytes`);
	try {
		return { owner, key: decodeURIComponent(encoded) };
	} catch (error) {
		throw new SlipwayError("INVALID", "The key is not percent-encoded UTF-8", { cause: error });
	}
}

async function readJson<T>(request: IncomingMessage, schema: z.ZodType<T>, empty: T | undefined): Promise<T> {
	const bytes = await readBody(request, maxBodyBytes);
	if (bytes.length === 0 && empty !== undefined) return empty;
	let value: unknown;
	try {
		value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
	} catch (error) {
		throw new SlipwayError("INVALID", `The body is not JSON: ${(error as Error).message}`, { cause: error });
	}
	const parsed = schema.safeParse(value);
	if (parsed.success) return parsed.data;
	const problems = parsed.error.issues.map(({ path, message }) => `'${path.join(".")}': ${message}`);
	throw new SlipwayError("INVALID", problems.join("; "));
}
