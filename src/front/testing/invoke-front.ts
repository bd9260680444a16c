/** For tests: Invoke, InvokeWithResponseStream and function URLs on a random port, over a function that is made up. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestOptions, request } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { systemClock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { type Log, silentLog } from "../../base/log.ts";
import type { FunctionAlias, FunctionRecord, FunctionUrl, FunctionVersion } from "../../core/function/function.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import type { AsyncEvent } from "../../engine/async-invocations/async-invocations.ts";
import { createAwsFront } from "../aws/front.ts";
import type { AwsService } from "../aws/service.ts";
import { validateLambda } from "../aws/services/lambda/constraints.ts";
import { bodyTooLarge, internalError, lambdaErrors, malformedBody, translate } from "../aws/services/lambda/errors.ts";
import { invokeHandler } from "../aws/services/lambda/invoke.ts";
import { invokeAsyncHandler, maxInvokeAsyncBytes } from "../aws/services/lambda/invoke-async.ts";
import { type InvokeDeps, maxPayloadBytes } from "../aws/services/lambda/invoke-request.ts";
import { invokeStreamHandler } from "../aws/services/lambda/invoke-stream.ts";
import { signHeaders } from "../aws/sigv4/sign.ts";
import { createFunctionUrlFront } from "../function-url/function-url-front.ts";
import { urlIdOf } from "../function-url/host.ts";

export const account = "123456789012";
export const region = "us-east-1";
export const keys = { accessKeyId: "AKIATESTTESTTESTTEST", secretAccessKey: "test-secret-of-forty-characters-or-so" };
export const arn = `arn:aws:lambda:${region}:${account}:function:f`;
export const urlId = "abcdefghijklmnopqrstuvwxyz012345";
const principal = {
	accessKeyId: keys.accessKeyId,
	arn: `arn:aws:iam::${account}:root`,
	userId: account,
	accountId: account,
};

export type Answer = (request: InvocationRequest) => Partial<InvocationResult> | Promise<Partial<InvocationResult>>;

export interface InvokeFront extends AsyncDisposable {
	url: string;
	port: number;
	/** Host header of the function's URL. */
	host: string;
	/** What the invocations carried, in order. */
	invocations: InvocationRequest[];
	/** Events that were accepted, in order: nothing runs them. */
	accepted: AsyncEvent[];
	/** Invocations that have not ended. */
	running: number;
	/** What the function does; echoes its payload unless told otherwise. */
	answer: Answer;
	/** The function's URL, to be changed at will. */
	functionUrl: FunctionUrl;
	/** Whether its policy lets anybody call it. */
	anybody: boolean;
}

/** The one function is "f", with the version "1" and the alias "live". */
export async function startInvokeFront(
	options: { log?: Log; services?: AwsService[]; maxBufferedBytes?: number } = {},
): Promise<InvokeFront> {
	const test: InvokeFront = {
		url: "",
		port: 0,
		host: "",
		invocations: [],
		accepted: [],
		running: 0,
		answer: ({ payload }) => ({ payload }),
		functionUrl: {
			urlId,
			authType: "NONE",
			invokeMode: undefined,
			cors: undefined,
			createdMs: 0,
			lastModifiedMs: 0,
		},
		anybody: true,
		async [Symbol.asyncDispose]() {
			server.closeAllConnections();
			server.close();
		},
	};
	const dispatcher = { invoke: (name: string, given: InvocationRequest) => invoke(test, name, given) };
	const shared = {
		credentials: (id: string) =>
			id === keys.accessKeyId ? { secretAccessKey: keys.secretAccessKey, principal } : undefined,
		clock: systemClock,
		ids: randomIds,
		region,
		accountId: account,
		log: options.log ?? silentLog,
	};
	const aws = createAwsFront({ ...shared, services: options.services ?? [lambda(dispatcher, accepting(test))] });
	const functionUrls = createFunctionUrlFront({
		...shared,
		urls: { byUrlId: (id) => (id === urlId ? { name: "f", qualifier: "", url: test.functionUrl } : undefined) },
		policies: { allowsAnybody: () => test.anybody },
		dispatcher,
		...(options.maxBufferedBytes !== undefined && { maxBufferedBytes: options.maxBufferedBytes }),
	});
	const server = createServer((incoming, response) => {
		const front = urlIdOf(incoming.headers.host) === undefined ? aws : functionUrls;
		void front.handle(incoming, response);
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	test.port = (server.address() as AddressInfo).port;
	test.url = `http://127.0.0.1:${test.port}`;
	test.host = `${urlId}.lambda-url.${region}.localhost:${test.port}`;
	return test;
}

async function invoke(test: InvokeFront, name: string, given: InvocationRequest): Promise<InvocationResult> {
	find(name);
	if (given.qualifier !== undefined) found(["$LATEST", "1", "live"].includes(given.qualifier));
	test.invocations.push(given);
	test.running++;
	try {
		return {
			payload: Buffer.alloc(0),
			functionError: undefined,
			executedVersion: given.qualifier === undefined || given.qualifier === "$LATEST" ? "$LATEST" : "1",
			logTail: given.tail ? Buffer.from(`START RequestId: ${given.requestId} Version: $LATEST\n`) : undefined,
			coldStart: undefined,
			...(await test.answer(given)),
		};
	} finally {
		test.running--;
	}
}

function find(name: string): FunctionRecord {
	found(name === "f");
	return {} as FunctionRecord;
}

function found(there: boolean): void {
	if (!there) throw new SlipwayError("NOT_FOUND", "Function not found");
}

function accepting({ accepted }: InvokeFront): InvokeDeps["asyncInvocations"] {
	return {
		async accept(name, qualifier, event) {
			find(name);
			if (qualifier !== undefined) found(["$LATEST", "1", "live"].includes(qualifier));
			accepted.push(event);
		},
	};
}

function lambda(dispatcher: InvokeDeps["dispatcher"], asyncInvocations: InvokeDeps["asyncInvocations"]): AwsService {
	const deps = {
		dispatcher,
		asyncInvocations,
		functions: { get: find },
		versions: {
			get(_name: string, version: string) {
				found(version === "1");
				return {} as FunctionVersion;
			},
			getAlias(_name: string, name: string) {
				found(name === "live");
				return { name, version: "1" } as FunctionAlias;
			},
		},
	};
	return {
		name: "lambda",
		protocol: "rest-json",
		sdkPackage: "@aws-sdk/client-lambda",
		handlers: {},
		rawHandlers: { Invoke: invokeHandler(deps), InvokeAsync: invokeAsyncHandler(deps) },
		streamHandlers: { InvokeWithResponseStream: invokeStreamHandler(deps) },
		maxBodyBytes: {
			Invoke: maxPayloadBytes,
			InvokeAsync: maxInvokeAsyncBytes,
			InvokeWithResponseStream: maxPayloadBytes,
		},
		errors: lambdaErrors,
		internalError,
		translate,
		malformedBody,
		bodyTooLarge,
		validate: validateLambda,
	};
}

export interface RawOptions {
	headers?: Record<string, string>;
	body?: string | Buffer;
	signed?: boolean;
	/** In the signature's scope; "lambda" unless told otherwise. */
	service?: string;
}

export interface RawAnswer {
	status: number;
	headers: IncomingMessage["headers"];
	/** Lines as they came: name, value, name, value, … */
	rawHeaders: string[];
	body: Buffer;
}

/** Begins a request by node:http, which, unlike fetch, sends the Host it is told; resolves with the head of the answer. */
export async function begin(
	test: InvokeFront,
	method: string,
	path: string,
	{ headers = {}, body, signed = false, service = "lambda" }: RawOptions = {},
): Promise<IncomingMessage> {
	const plain = { host: new URL(test.url).host, ...headers };
	const all = signed
		? signHeaders({
				method,
				url: path,
				headers: plain,
				...(body !== undefined && { body }),
				...keys,
				region,
				service,
				nowMs: Date.now(),
			})
		: plain;
	const options: RequestOptions = { host: "127.0.0.1", port: test.port, method, path, headers: all, agent: false };
	const outgoing = request(options);
	outgoing.end(body);
	const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
	// A refusal may come while the body is still being sent.
	outgoing.on("error", () => {});
	return incoming;
}

export async function send(
	test: InvokeFront,
	method: string,
	path: string,
	options: RawOptions = {},
): Promise<RawAnswer> {
	const incoming = await begin(test, method, path, options);
	const { statusCode = 0, headers, rawHeaders } = incoming;
	return { status: statusCode, headers, rawHeaders, body: await buffer(incoming) };
}

/** A request to the function's URL. */
export function call(test: InvokeFront, method: string, path: string, options: RawOptions = {}): Promise<RawAnswer> {
	return send(test, method, path, { ...options, headers: { host: test.host, ...options.headers } });
}
