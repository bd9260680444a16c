/**
 * Serves AWS clients. One adapter for every service: the SDK's published schemas say how operations are routed, read and
 * answered; a service brings only its handlers and its error names (service.ts).
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../../base/clock.ts";
import { isSlipwayError } from "../../base/error.ts";
import { type Ids, timeOrderedUuid } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { traceIdOf } from "../trace-id.ts";
import { type Admitted, Authenticator } from "./authenticator.ts";
import { announcedLength, BodyBudget, BodyTooLargeError, ClientGoneError, readRequest } from "./body.ts";
import { BoundService } from "./bound-service.ts";
import { AwsError, validationError } from "./errors.ts";
import { CodecError } from "./protocol/codec-error.ts";
import type { HttpResponseParts } from "./protocol/http-binding.ts";
import type { FoundOperation, Protocol, RequestLine } from "./protocol/protocol.ts";
import { isComplete, linger, send, sendEvents } from "./respond.ts";
import type { AwsService, Call, Principal, RawRequest, StreamResponse } from "./service.ts";
import { sessionRefusal } from "./session-policy.ts";
import { type SignedRequest, signedRequest } from "./sigv4/request.ts";
import type { Credentials } from "./sigv4/verify.ts";
import { fallbackProtocol, type Refusal, toWireError } from "./wire-error.ts";

export interface AwsFrontLimits {
	/** Longest body of an operation that names no limit of its own, bytes. */
	maxBodyBytes: number;
	/** All bodies being read or served at one time, bytes; past it clients are asked to come again (429). */
	maxBufferedBytes: number;
}

export interface AwsFrontOptions {
	services: readonly AwsService[];
	credentials: Credentials;
	/** For people with curl: who a native bearer token belongs to, or undefined. Without it only signatures are taken. */
	authenticateBearer?: (token: string) => Principal | undefined;
	clock: Pick<Clock, "now" | "after">;
	ids: Pick<Ids, "uuid" | "hex">;
	region: string;
	/** 12 digits. */
	accountId: string;
	/** Whether invocations have spans: traces that begin here are sampled then. */
	recordsSpans?: boolean;
	log: Log;
	limits?: Partial<AwsFrontLimits>;
}

export interface AwsFront {
	/** Answers, always; never rejects. */
	handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
	/** Reads a service's schemas now instead of at its first request (some 20 ms). */
	preload(service: string): Promise<void>;
}

const defaultLimits: AwsFrontLimits = {
	// Control requests are a few kilobytes; a policy or an inline template may have some hundreds.
	maxBodyBytes: 1024 * 1024,
	// 32 payloads of the largest size.
	maxBufferedBytes: 192 * 1024 * 1024,
};

/** One request on its way through the front. */
interface Exchange {
	readonly requestId: string;
	readonly line: RequestLine;
	readonly signed: SignedRequest;
	bound: BoundService | undefined;
	protocol: Protocol | undefined;
	operation: string | undefined;
	/** Bytes to give back to the budget. */
	held: number;
	/** Aborts when the client goes away. */
	readonly gone: () => AbortSignal;
	readonly isTls: boolean;
}

type Answer = HttpResponseParts | StreamResponse;

export function createAwsFront(options: AwsFrontOptions): AwsFront {
	return new Front(options);
}

class Front implements AwsFront {
	readonly #options: AwsFrontOptions;
	readonly #limits: AwsFrontLimits;
	readonly #services: ReadonlyMap<string, BoundService>;
	readonly #authenticator: Authenticator;
	readonly #budget: BodyBudget;

	constructor(options: AwsFrontOptions) {
		this.#options = options;
		this.#limits = { ...defaultLimits, ...options.limits };
		this.#services = new Map(options.services.map((service) => [service.name, new BoundService(service)]));
		this.#authenticator = new Authenticator(options, this.#services);
		this.#budget = new BodyBudget(this.#limits.maxBufferedBytes);
	}

	async preload(service: string): Promise<void> {
		await this.#services.get(service)?.load();
	}

	async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const signed = signedRequest(request);
		const exchange: Exchange = {
			requestId: timeOrderedUuid(this.#options.clock.now(), this.#options.ids),
			line: {
				method: signed.method,
				path: signed.path,
				query: signed.query,
				headers: request.headers,
				labels: {},
				body: noBody,
			},
			signed,
			bound: undefined,
			protocol: undefined,
			operation: undefined,
			held: 0,
			gone: () => goneSignal(response),
			isTls: "encrypted" in request.socket,
		};
		try {
			await this.#answer(exchange, request, response);
		} finally {
			this.#budget.give(exchange.held);
		}
	}

	async #answer(exchange: Exchange, request: IncomingMessage, response: ServerResponse): Promise<void> {
		let answer: Answer;
		try {
			answer = await this.#serve(exchange, request);
		} catch (error) {
			if (error instanceof ClientGoneError) return void response.destroy();
			answer = this.#refuse(exchange, error);
		}
		const complete = isComplete(request);
		if (!complete) linger(request, this.#options.clock);
		if (!("events" in answer)) return send(response, answer, exchange.requestId, complete);
		await sendEvents(response, answer, exchange.requestId, (error) => this.#describe(exchange, error).wire);
	}

	async #serve(exchange: Exchange, request: IncomingMessage): Promise<Answer> {
		// Each wait costs the warm path a turn and a promise: most of what could be waited for here is there.
		const admission = this.#authenticator.admit(exchange.signed, exchange.line, (bound) => {
			exchange.bound = bound;
		});
		const admitted = admission instanceof Promise ? await admission : admission;
		const { bound } = admitted;
		exchange.bound = bound;
		const loading = bound.protocol(exchange.line);
		const protocol = loading instanceof Promise ? await loading : loading;
		exchange.protocol = protocol;
		let found = protocol.namedInBody ? undefined : protocol.find(exchange.line);
		exchange.operation = found?.operation.name;
		const body = await this.#readBody(exchange, admitted, request);
		if (!admitted.readVerified) admitted.verify(body);
		const line = { ...exchange.line, body };
		if (protocol.namedInBody) found = protocol.find(line);
		exchange.operation = found?.operation.name;
		if (!found) throw unknownOperation(bound.service, exchange.line);
		return this.#call(exchange, admitted, found, line);
	}

	#readBody(exchange: Exchange, admitted: Admitted, request: IncomingMessage): Promise<Buffer> {
		const limit = admitted.bound.service.maxBodyBytes?.[exchange.operation ?? ""] ?? this.#limits.maxBodyBytes;
		const taken = (bytes: number) => {
			this.#budget.take(bytes);
			exchange.held += bytes;
		};
		announcedLength(request, limit);
		if (admitted.readVerified) return admitted.readVerified(request, limit, taken);
		return readRequest(request, limit, taken);
	}

	async #call(exchange: Exchange, admitted: Admitted, found: FoundOperation, line: RequestLine): Promise<Answer> {
		const { service } = admitted.bound;
		const { name } = found.operation;
		const refusal = sessionRefusal(admitted.principal, service.name, name);
		if (refusal !== undefined) throw new AwsError("AccessDeniedException", 403, refusal);
		const header = (key: string) => line.headers[key]?.toString();
		const call = this.#callOf(exchange, admitted, name, header);
		const request: RawRequest = { labels: found.labels, query: line.query, header, body: line.body };
		const protocol = exchange.protocol!;
		const raw = protocol.namedInBody ? undefined : service.rawHandlers?.[name];
		if (raw) return raw(request, call);
		const input = () => {
			const members = protocol.read(found, line);
			service.completeInput?.(members, line.path);
			requireMembers(found, members, service);
			service.validate?.(name, members);
			return members;
		};
		const stream = service.streamHandlers?.[name];
		if (stream) return stream({ ...request, input }, call, exchange.gone());
		const handler = service.handlers[name];
		if (!handler)
			throw new AwsError("NotImplementedException", 501, `Slipway does not implement ${service.name}:${name} yet`);
		const output = (await handler(input(), call)) as Record<string, unknown> | undefined;
		return protocol.write(found.operation, output ?? {}, exchange.requestId);
	}

	#callOf(
		{ requestId, gone, isTls }: Exchange,
		admitted: Admitted,
		operation: string,
		header: RawRequest["header"],
	): Call {
		const { region, accountId, clock, ids, recordsSpans } = this.#options;
		let trace: string | undefined;
		return {
			requestId,
			service: admitted.bound.service.name,
			operation,
			principal: admitted.principal,
			region,
			accountId,
			host: header("host") ?? "",
			isTls,
			traceId() {
				trace ??= traceIdOf(header, clock.now(), ids, recordsSpans);
				return trace;
			},
			gone,
		};
	}

	#refuse(exchange: Exchange, error: unknown): HttpResponseParts {
		const { wire, retryAfterMs } = this.#describe(exchange, error);
		const protocol = exchange.protocol ?? fallbackProtocol(exchange.bound?.service, exchange.line);
		const answer = protocol.writeError(wire, exchange.requestId);
		if (retryAfterMs !== undefined) answer.headers["Retry-After"] = String(Math.ceil(retryAfterMs / 1000));
		return answer;
	}

	/** Logs what nobody foresaw. */
	#describe(exchange: Exchange, error: unknown): Refusal {
		const service = exchange.bound?.service;
		const { requestId, operation } = exchange;
		const foreseen =
			error instanceof AwsError ||
			error instanceof CodecError ||
			error instanceof BodyTooLargeError ||
			isSlipwayError(error);
		if (!foreseen)
			this.#options.log.error("AWS request failed", { requestId, service: service?.name, operation, error });
		return toWireError(error, service, operation);
	}
}

const noBody = Buffer.alloc(0);

function goneSignal(response: ServerResponse): AbortSignal {
	const gone = new AbortController();
	const abort = () => gone.abort(new ClientGoneError());
	if (response.destroyed) abort();
	else response.once("close", () => response.writableFinished || abort());
	return gone.signal;
}

function requireMembers({ operation }: FoundOperation, input: Record<string, unknown>, service: AwsService): void {
	const schema = operation.input.getSchema();
	// The seventh element of a structure's schema is how many of its members, which stand first, are required.
	const required =
		Array.isArray(schema) && typeof schema[6] === "number" ? (schema[4] as string[]).slice(0, schema[6]) : [];
	const missing = required.filter((name) => input[name] === undefined || input[name] === "");
	if (missing.length === 0) return;
	if (service.missingMembers) throw service.missingMembers(missing);
	const texts = missing.map((name) => {
		const member = name[0]!.toLowerCase() + name.slice(1);
		return `Value null at '${member}' failed to satisfy constraint: Member must not be null`;
	});
	throw validationError(texts);
}

function unknownOperation(service: AwsService, line: RequestLine): AwsError {
	const target = line.headers["x-amz-target"]?.toString().slice(0, 100);
	const isForm = service.protocol === "query" || (service.queryCompatible === true && target === undefined);
	const named = isForm ? "that Action and Version" : (target ?? `${line.method} ${line.path.slice(0, 200)}`);
	const message = `The service '${service.name}' has no operation for ${named}`;
	return new AwsError("UnknownOperationException", isForm ? 400 : 404, message);
}
