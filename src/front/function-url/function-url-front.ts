/** Serves function URLs: any HTTP request becomes an event, and what the function answers a response (lambda-contract 4.5). */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../../base/clock.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { type ColdStart, serverTiming } from "../../core/invocation/cold-start.ts";
import type { InvocationRequest, InvocationResult, StreamHead } from "../../core/invocation/invocation.ts";
import { announcedLength, BodyBudget, BodyTooLargeError, ClientGoneError, readRequest } from "../aws/body.ts";
import { isComplete, linger } from "../aws/respond.ts";
import type { Principal } from "../aws/service.ts";
import type { Credentials } from "../aws/sigv4/verify.ts";
import {
	bufferedResponse,
	MalformedResponseError,
	type ResponseHead,
	type UrlResponse,
} from "../lambda-http/response.ts";
import { readStreamStart } from "../lambda-http/streamed-response.ts";
import { roomIn, StreamedAnswer } from "../streamed-answer.ts";
import { traceIdOf } from "../trace-id.ts";
import { isPreflight, preflightHeaders, withCorsHeaders } from "./cors.ts";
import { badGateway, forbidden, internalFailure, refusalOf, unknownUrl } from "./errors.ts";
import { urlIdOf } from "./host.ts";
import type { FoundUrl, FunctionUrlDispatcher, FunctionUrlPolicies, FunctionUrls } from "./ports.ts";
import { requestEvent } from "./request-event.ts";
import { type SignedCaller, UrlSignatures } from "./signature.ts";

export interface FunctionUrlOptions {
	urls: FunctionUrls;
	policies: FunctionUrlPolicies;
	dispatcher: FunctionUrlDispatcher;
	credentials: Credentials;
	clock: Pick<Clock, "now" | "after">;
	ids: Pick<Ids, "uuid" | "hex">;
	region: string;
	/** 12 digits. */
	accountId: string;
	/** Whether invocations have spans: traces that begin here are sampled then. */
	recordsSpans?: boolean;
	log: Log;
	/** All bodies being read or served, and answers that clients have not taken yet, bytes; past it they are asked to come again (429). */
	maxBufferedBytes?: number;
}

export interface FunctionUrlFront {
	/** Answers, always; never rejects. */
	handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
}

/** Of the body, and of the event that is made of it (lambda-contract 1.7). */
const maxPayloadBytes = 6 * 1024 * 1024;
/** 32 payloads of the largest size. */
const defaultBufferedBytes = 192 * 1024 * 1024;

/** One request on its way. */
interface Exchange {
	readonly request: IncomingMessage;
	readonly response: ServerResponse;
	readonly requestId: string;
	readonly traceId: string;
	/** Whose response it is, with the headers that its configuration adds. */
	found: FoundUrl | undefined;
	/** That it had, when it is known. */
	coldStart: ColdStart | undefined;
	/** Bytes to give back to the budget. */
	held: number;
}

export function createFunctionUrlFront(options: FunctionUrlOptions): FunctionUrlFront {
	return new Front(options);
}

class Front implements FunctionUrlFront {
	readonly #options: FunctionUrlOptions;
	readonly #signatures: UrlSignatures;
	readonly #budget: BodyBudget;

	constructor(options: FunctionUrlOptions) {
		this.#options = options;
		this.#signatures = new UrlSignatures(options);
		this.#budget = new BodyBudget(options.maxBufferedBytes ?? defaultBufferedBytes);
	}

	async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const { clock, ids, recordsSpans } = this.#options;
		const header = (name: string) => request.headers[name]?.toString();
		const traceId = traceIdOf(header, clock.now(), ids, recordsSpans);
		const exchange: Exchange = {
			request,
			response,
			requestId: ids.uuid(),
			traceId,
			found: undefined,
			coldStart: undefined,
			held: 0,
		};
		try {
			await this.#serve(exchange);
		} catch (error) {
			if (error instanceof ClientGoneError) return void response.destroy();
			this.#refuse(exchange, error);
		} finally {
			this.#budget.give(exchange.held);
		}
	}

	async #serve(exchange: Exchange): Promise<void> {
		const { urls, policies, clock } = this.#options;
		const { request } = exchange;
		const urlId = urlIdOf(request.headers.host);
		const found = urlId === undefined ? undefined : urls.byUrlId(urlId);
		if (!found) return this.#send(exchange, unknownUrl());
		const { url, name, qualifier } = found;
		// Browsers ask without credentials, so that nobody has to be allowed to ask.
		if (url.cors && isPreflight(request))
			return this.#send(exchange, {
				status: 200,
				headers: preflightHeaders(url.cors, request.headers),
				body: Buffer.alloc(0),
			});
		exchange.found = found;
		let caller: SignedCaller | undefined;
		if (url.authType === "AWS_IAM") {
			caller = this.#signatures.begin(request, clock.now());
			if (!caller) return this.#send(exchange, forbidden());
		} else if (!policies.allowsAnybody(name, qualifier)) return this.#send(exchange, forbidden());
		const body = await this.#readBody(exchange);
		caller?.verify(body);
		const invocation = this.#invocation(exchange, found, body, caller?.principal);
		if (url.invokeMode === "RESPONSE_STREAM") return this.#stream(exchange, name, invocation);
		const result = await this.#options.dispatcher.invoke(name, invocation);
		exchange.coldStart = result.coldStart;
		this.#send(exchange, responseOf(result));
	}

	#readBody(exchange: Exchange): Promise<Buffer> {
		announcedLength(exchange.request, maxPayloadBytes);
		// Also for a request without a body: its answer may be as long.
		this.#budget.take(0);
		return readRequest(exchange.request, maxPayloadBytes, (bytes) => {
			this.#budget.take(bytes);
			exchange.held += bytes;
		});
	}

	/** BodyTooLargeError when base64 makes more of the body than an event may have. */
	#invocation(
		{ request, requestId, traceId }: Exchange,
		{ name, qualifier, url }: FoundUrl,
		body: Buffer,
		principal: Principal | undefined,
	): InvocationRequest {
		const { region, accountId, clock } = this.#options;
		const { urlId } = url;
		const event = requestEvent({ request, body, urlId, requestId, traceId, nowMs: clock.now(), principal });
		const payload = Buffer.from(JSON.stringify(event));
		if (payload.length > maxPayloadBytes) throw new BodyTooLargeError(payload.length, maxPayloadBytes);
		const arn = `arn:aws:lambda:${region}:${accountId}:function:${name}`;
		return {
			requestId,
			traceId,
			trigger: "http",
			payload,
			invokedArn: qualifier === "" ? arn : `${arn}:${qualifier}`,
			...(qualifier !== "" && { qualifier }),
		};
	}

	async #stream(exchange: Exchange, name: string, invocation: InvocationRequest): Promise<void> {
		const answer = new StreamedAnswer();
		exchange.response.once("close", () => answer.discard());
		if (exchange.response.destroyed) answer.discard();
		const begun = Promise.withResolvers<StreamHead>();
		const stream = (head: StreamHead) => {
			begun.resolve(head);
			return answer;
		};
		const done = this.#options.dispatcher.invoke(name, { ...invocation, stream });
		const close = () => answer.close();
		done.then(close, close);
		let reported: unknown;
		try {
			await this.#relay(exchange, answer, begun.promise, done);
		} catch (error) {
			reported = error;
			this.#refuse(exchange, error);
		}
		// Nobody reads on: the function does its work to the end all the same, and what fails then is not lost.
		answer.discard();
		await done.catch((error: unknown) => error === reported || this.#report(exchange, error));
	}

	async #relay(
		exchange: Exchange,
		answer: StreamedAnswer,
		begun: Promise<StreamHead>,
		done: Promise<InvocationResult>,
	): Promise<void> {
		const first = await Promise.race([begun, done]);
		exchange.coldStart = first.coldStart;
		// A runtime that does not stream: its answer is read as with BUFFERED.
		if (!("contentType" in first)) return this.#send(exchange, responseOf(first));
		const start = await readStreamStart(first, answer);
		if (!start) return this.#send(exchange, responseOf(await done));
		await this.#sendStream(exchange, start.head, start.first, answer);
		// What the runtime ended itself is whole, also when it then reported an error; a timeout or a crash is cut off, so
		// that the client can tell.
		if (answer.writableEnded || (await done).functionError === undefined) exchange.response.end();
		else exchange.response.destroy();
	}

	async #sendStream(exchange: Exchange, head: ResponseHead, first: Buffer, answer: StreamedAnswer): Promise<void> {
		const { response } = exchange;
		if (response.destroyed) return;
		response.writeHead(head.status, this.#headers(exchange, head));
		response.flushHeaders();
		for (let chunk: Buffer | undefined = first; chunk !== undefined; chunk = await answer.next()) {
			if (response.destroyed) return;
			if (chunk.length > 0 && !response.write(chunk)) await roomIn(response);
		}
	}

	#send(exchange: Exchange, answer: UrlResponse): void {
		const { request, response } = exchange;
		if (response.destroyed) return;
		const complete = isComplete(request);
		if (!complete) linger(request, this.#options.clock);
		const headers = this.#headers(exchange, answer);
		const bodiless = answer.status === 204 || answer.status === 304;
		if (!bodiless) headers["content-length"] = [String(answer.body.length)];
		if (!complete) headers.connection = ["close"];
		this.#holdUntilTaken(response, answer.body.length);
		response.writeHead(answer.status, headers);
		response.end(bodiless || answer.body.length === 0 ? undefined : answer.body);
	}

	/** Anybody may call a URL, and leave the answer to wait in memory on as many connections as there can be. */
	#holdUntilTaken(response: ServerResponse, bytes: number): void {
		this.#budget.hold(bytes);
		response.once("close", () => this.#budget.give(bytes));
	}

	#headers(
		{ request, requestId, traceId, found, coldStart }: Exchange,
		{ headers }: ResponseHead,
	): Record<string, string[]> {
		const cors = found?.url.cors;
		return {
			...Object.fromEntries(cors ? withCorsHeaders(headers, cors, request.headers) : headers),
			// A list, to which the function may have measurements of its own.
			...(coldStart && { "server-timing": [...(headers.get("server-timing") ?? []), serverTiming(coldStart)] }),
			"x-amzn-requestid": [requestId],
			"x-amzn-trace-id": [traceId],
		};
	}

	#refuse(exchange: Exchange, error: unknown): void {
		const { response } = exchange;
		const refusal = this.#report(exchange, error);
		if (response.headersSent) response.destroy();
		else this.#send(exchange, refusal);
	}

	/** Logs what nobody foresaw, and what only the function's author can mend. */
	#report({ requestId, found }: Exchange, error: unknown): UrlResponse {
		const refusal = refusalOf(error);
		// The client learns no more than 502, and the function's log has only that it succeeded.
		if (error instanceof MalformedResponseError)
			this.#options.log.warn("A function's answer is no HTTP response: its URL said 502", {
				requestId,
				function: found?.name,
				reason: error.message,
			});
		if (refusal) return refusal;
		this.#options.log.error("A function URL's request failed", { requestId, function: found?.name, error });
		return internalFailure();
	}
}

function responseOf(result: InvocationResult): UrlResponse {
	return result.functionError === undefined ? bufferedResponse(result.payload) : badGateway();
}
