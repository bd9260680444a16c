/** An HTTP/1.1 Upgrade (RFC 9110, 7.8), which is how WebSockets begin: after the 101 both sides' bytes go through untouched. */
import type { ClientRequest, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { systemCode } from "../../base/error.ts";
import { http } from "../../base/http.ts";
import type { Exchange, ForwardOptions, ForwardOutcome } from "../../core/service/forward.ts";
import type { AdmittedRequest, RequestOutcome } from "../../core/service/request-admission.ts";
import { maxAnswerHeadBytes } from "./answer-parser.ts";
import { forwardedRequestHeaders, forwardedResponseHeaders } from "./forwarding-headers.ts";
import type { ForwardDeps } from "./proxy.ts";
import { ProxyAnswer } from "./proxy-answer.ts";
import { problemText } from "./proxy-problem.ts";
import { ProxyTimeouts } from "./proxy-timeouts.ts";

type UpgradeExchange = Extract<Exchange, { kind: "upgrade" }>;

export async function forwardUpgrade(
	{ clock, log, connections }: Required<ForwardDeps>,
	exchange: UpgradeExchange,
	admitted: AdmittedRequest,
	options: ForwardOptions,
): Promise<ForwardOutcome> {
	const startedAt = clock.monotonic();
	const { revision, instance } = admitted;
	const tally: Tally = { status: undefined, bytesIn: 0, bytesOut: 0, unanswered: false };
	const over = Promise.withResolvers<RequestOutcome["failure"]>();
	const client = exchange.socket;
	let cut = () => {};
	const timeouts = new ProxyTimeouts(clock, revision, 0, (which) => {
		if (tally.status === undefined)
			refuse(exchange, 504, which === "timeout" ? "request timeout" : which, "timeout", tally);
		cut();
		over.resolve("timeout");
	});
	const onGone = () => {
		cut();
		over.resolve(undefined);
	};
	// A socket without a listener for its errors takes the process with it.
	client.on("error", onGone);
	client.once("close", onGone);
	if (client.destroyed) over.resolve(undefined);
	else
		cut = begin(exchange, admitted, options, {
			switched: (upstream, head, earlier) => {
				tally.status = 101;
				client.write(earlier, "latin1");
				cut = tunnel(client as Socket, upstream as Socket, exchange.head, head, tally, timeouts, over.resolve);
			},
			answered: (response) => passAnswer(exchange, response, options, tally, timeouts, over.resolve),
			failed: (failure, message) => {
				if (connections.of(instance).isNews(failure))
					log.warn(`A container ${message}`, {
						namespace: revision.namespace,
						service: revision.service,
						revision: revision.name,
						instance: instance.id,
					});
				if (failure === "connect" && options.handsBack) tally.unanswered = true;
				else refuse(exchange, 502, `The container of service '${revision.service}' ${message}`, failure, tally);
				over.resolve(failure);
			},
		});
	const failure = await over.promise;
	timeouts.end();
	client.off("close", onGone);
	if (tally.unanswered) client.off("error", onGone);
	return { ...tally, failure, durationMs: clock.monotonic() - startedAt };
}

interface Tally {
	status: number | undefined;
	bytesIn: number;
	bytesOut: number;
	unanswered: boolean;
}

interface UpgradeEvents {
	/** `headText`: the 101 as it goes to the client. */
	switched(upstream: Duplex, head: Buffer, headText: string): void;
	answered(response: IncomingMessage): void;
	failed(failure: "connect" | "closed" | "malformed", message: string): void;
}

/** Asks the container on a connection of its own. The returned function takes everything back. */
function begin(
	{ request }: UpgradeExchange,
	{ instance }: AdmittedRequest,
	options: ForwardOptions,
	events: UpgradeEvents,
): () => void {
	const protocol = request.headers.upgrade ?? "";
	const headers = forwardedRequestHeaders(request.rawHeaders, options);
	headers.push("Connection", "Upgrade", "Upgrade", protocol);
	let upstream: ClientRequest;
	let isOver = false;
	const fail = (failure: "connect" | "closed" | "malformed", message: string) => {
		if (isOver) return;
		isOver = true;
		events.failed(failure, message);
	};
	try {
		upstream = http.request({
			host: "instance",
			method: request.method,
			path: options.path ?? request.url,
			headers,
			maxHeaderSize: maxAnswerHeadBytes,
			createConnection: (_options, done) => {
				instance.connect().then(
					(socket) => done(null, socket),
					(error: Error) => done(error, undefined as never),
				);
				return undefined;
			},
		});
	} catch (error) {
		fail("malformed", `cannot be asked for that (${String(error)})`);
		return () => {};
	}
	upstream.once("upgrade", (response, socket, head) => {
		if (isOver) return void socket.destroy();
		isOver = true;
		events.switched(socket, head, switchingHead(response, options));
	});
	upstream.once("response", (response) => {
		if (isOver) return void response.destroy();
		isOver = true;
		events.answered(response);
	});
	upstream.on("error", (error) => {
		const code = systemCode(error) ?? error.message;
		if (code.startsWith("HPE_")) fail("malformed", `answered with what is not HTTP/1.1 (${code})`);
		else if (upstream.socket === null) fail("connect", `could not be connected to (${code})`);
		else fail("closed", `closed the connection before it answered (${code})`);
	});
	upstream.end();
	return () => {
		isOver = true;
		upstream.destroy();
	};
}

function switchingHead(response: IncomingMessage, options: ForwardOptions): string {
	let text = `HTTP/1.1 101 ${response.statusMessage || "Switching Protocols"}\r\n`;
	const headers = forwardedResponseHeaders(response.rawHeaders, options.responseHeaders, false);
	headers.push("Connection", "Upgrade", "Upgrade", response.headers.upgrade ?? "");
	for (let i = 0; i + 1 < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
	return `${text}\r\n`;
}

/** Both ways until both have ended, or one has broken. The returned function breaks it. */
function tunnel(
	client: Socket,
	upstream: Socket,
	early: Buffer,
	late: Buffer,
	tally: Tally,
	timeouts: ProxyTimeouts,
	over: (failure: undefined) => void,
): () => void {
	const cut = () => {
		client.destroy();
		upstream.destroy();
	};
	let open = 2;
	const onEnd = () => {
		if (--open === 0) over(undefined);
	};
	const connect = (from: Socket, to: Socket, count: (bytes: number) => void) => {
		from.on("data", (chunk: Buffer) => {
			count(chunk.length);
			timeouts.byte();
			if (to.write(chunk)) return;
			from.pause();
			to.once("drain", () => from.resume());
		});
		// The other direction goes on (half-close).
		if (from.readableEnded) to.end();
		else from.once("end", () => to.end());
		from.on("error", cut);
		from.once("close", () => {
			to.destroySoon();
			onEnd();
		});
	};
	const toContainer = (bytes: number) => {
		tally.bytesIn += bytes;
	};
	const toClient = (bytes: number) => {
		tally.bytesOut += bytes;
	};
	if (late.length > 0) {
		toClient(late.length);
		client.write(late);
	}
	if (early.length > 0) {
		toContainer(early.length);
		upstream.write(early);
	}
	timeouts.byte();
	connect(client, upstream, toContainer);
	connect(upstream, client, toClient);
	return cut;
}

/** The container does not switch: its answer is one like any other, and the connection's last. */
function passAnswer(
	exchange: UpgradeExchange,
	response: IncomingMessage,
	options: ForwardOptions,
	tally: Tally,
	timeouts: ProxyTimeouts,
	over: (failure: RequestOutcome["failure"]) => void,
): void {
	const answer = new ProxyAnswer(plainMessage(exchange), options.responseHeaders);
	const length = response.headers["content-length"];
	const fail = (failure: "closed" | "malformed") => {
		response.destroy();
		if (answer.status === undefined)
			refuse(exchange, 502, "The container's answer cannot be passed on", failure, tally);
		else answer.cut();
		over(failure);
	};
	response.on("error", () => fail("closed"));
	try {
		answer.begin(
			response.statusCode ?? 0,
			response.statusMessage ?? "",
			response.rawHeaders,
			length === undefined ? undefined : Number(length),
		);
	} catch {
		return fail("malformed");
	}
	tally.status = answer.status;
	response.on("data", (chunk: Buffer) => {
		timeouts.byte();
		tally.bytesOut += chunk.length;
		if (answer.write(chunk)) return;
		response.pause();
		answer.onDrain(() => response.resume());
	});
	response.on("end", () => {
		over(answer.finish(response.rawTrailers) ? undefined : "closed");
	});
}

function refuse(exchange: UpgradeExchange, status: number, error: string, reason: string, tally: Tally): void {
	if (exchange.socket.destroyed) return;
	const { contentType, body } = problemText(exchange.request.headers, error, { reason });
	const answer = new ProxyAnswer(plainMessage(exchange), []);
	answer.text(status, body, contentType);
	tally.status = status;
}

/** An answer to a request whose connection Node has given away: written by Node again, then closed. */
function plainMessage({ request, socket }: UpgradeExchange) {
	const response = new http.ServerResponse(request);
	response.shouldKeepAlive = false;
	response.assignSocket(socket as Parameters<typeof response.assignSocket>[0]);
	response.once("finish", () => socket.end());
	return { kind: "http1" as const, request, response };
}
