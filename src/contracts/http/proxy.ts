/** Hands requests on to containers, and their answers back: both ways at the speed of the slower side, nothing whole in memory. */
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { Forward, ForwardOptions, ForwardOutcome } from "../../core/service/forward.ts";
import type { AdmittedRequest, RequestOutcome } from "../../core/service/request-admission.ts";
import { forwardedRequestHeaders, keptFromCaches, rawHeader } from "./forwarding-headers.ts";
import { type ClientMessage, ProxyAnswer } from "./proxy-answer.ts";
import { type BodySource, pumpBody } from "./proxy-body.ts";
import { Http1Request } from "./proxy-http1.ts";
import { Http2Request } from "./proxy-http2.ts";
import { problemText } from "./proxy-problem.ts";
import { ProxyTimeouts } from "./proxy-timeouts.ts";
import { forwardUpgrade } from "./proxy-upgrade.ts";
import { UpstreamConnections } from "./upstream-connections.ts";
import type { UpstreamEvents, UpstreamHead, UpstreamRequest } from "./upstream-request.ts";

export interface ForwardDeps {
	clock: Clock;
	log: Log;
	connections?: UpstreamConnections;
}

/** Of a request over HTTP/1, and of an answer that is not sent in chunks, for services of Cloud Run's profile (https://cloud.google.com/run/quotas). */
const maxCloudRunBodyBytes = 32 * 1024 * 1024;

export function createForward({ clock, log, connections = new UpstreamConnections(clock, log) }: ForwardDeps): Forward {
	const deps = { clock, log, connections };
	return (exchange, admitted, options) =>
		exchange.kind === "upgrade"
			? forwardUpgrade(deps, exchange, admitted, options)
			: new Forwarding(deps, exchange, admitted, options).outcome;
}

class Forwarding implements UpstreamEvents {
	readonly outcome: Promise<ForwardOutcome>;
	readonly #deps: Required<ForwardDeps>;
	readonly #client: ClientMessage;
	readonly #admitted: AdmittedRequest;
	readonly #options: ForwardOptions;
	/** Of a body, either way. */
	readonly #maxBytes: number;
	readonly #answer: ProxyAnswer;
	readonly #timeouts: ProxyTimeouts;
	readonly #startedAt: number;
	readonly #resolve: (outcome: ForwardOutcome) => void;
	#upstream: UpstreamRequest | undefined;
	#stopBody: () => void = () => {};
	#bytesIn = 0;
	#settled = false;

	constructor(deps: Required<ForwardDeps>, client: ClientMessage, admitted: AdmittedRequest, options: ForwardOptions) {
		this.#deps = deps;
		this.#client = client;
		this.#admitted = admitted;
		this.#options = options;
		this.#answer = new ProxyAnswer(client, options.responseHeaders);
		this.#startedAt = deps.clock.monotonic();
		const { promise, resolve } = Promise.withResolvers<ForwardOutcome>();
		this.outcome = promise;
		this.#resolve = resolve;
		const { revision, waitedMs } = admitted;
		const isLimited = revision.profile === "cloudrun" && client.kind === "http1";
		this.#maxBytes = isLimited ? maxCloudRunBodyBytes : Number.POSITIVE_INFINITY;
		// Cloud Run's time includes the wait for an instance (https://cloud.google.com/run/docs/configuring/request-timeout).
		const spentMs = revision.profile === "cloudrun" ? waitedMs : 0;
		this.#timeouts = new ProxyTimeouts(deps.clock, revision, spentMs, (which) => this.#timedOut(which));
		this.#start();
	}

	#start(): void {
		const { request, response } = this.#client;
		if (isGone(this.#client)) return this.#settle(undefined);
		response.once("close", this.#onClientClose);
		// What the connection has to say about its end is said by `close`.
		request.on("error", ignore);
		response.on("error", ignore);
		const { revision, instance } = this.#admitted;
		const head = upstreamHead(this.#client, this.#options);
		if (typeof head.body === "number" && head.body > this.#maxBytes) return this.#refuseLarge();
		const connections = this.#deps.connections.of(instance);
		const isHttp2 = revision.workload.containers.some(({ port }) => port?.protocol === "h2c");
		this.#upstream = new (isHttp2 ? Http2Request : Http1Request)(connections, head, this);
		this.#upstream.start();
	}

	ready(): void {
		const upstream = this.#upstream!;
		const whole = this.#options.body;
		if (whole) {
			this.#bytesIn = whole.length;
			upstream.write(whole);
			return upstream.end([]);
		}
		this.#stopBody = pumpBody(this.#client.request as BodySource, upstream, this.#maxBytes, {
			onBytes: (count) => {
				this.#bytesIn += count;
			},
			onTooLarge: () => this.#refuseLarge(),
		});
	}

	informational(status: number, raw: readonly string[]): void {
		this.#answer.informational(status, raw);
	}

	head(status: number, reason: string, raw: readonly string[], length: number | undefined): void {
		this.#timeouts.byte();
		const isCloudRun = this.#admitted.revision.profile === "cloudrun";
		if (length !== undefined && length > this.#maxBytes && this.#client.request.method !== "HEAD")
			return this.#refuseLargeAnswer();
		try {
			this.#answer.begin(status, reason, isCloudRun ? keptFromCaches(raw) : raw, length);
		} catch (error) {
			this.#upstream?.cancel();
			this.failed("malformed", `answered with a head that cannot be passed on (${String(error).slice(0, 200)})`);
		}
	}

	data(chunk: Buffer): boolean {
		this.#timeouts.byte();
		return this.#answer.write(chunk);
	}

	onceDrained(callback: () => void): void {
		this.#answer.onDrain(callback);
	}

	end(trailers: readonly string[]): void {
		this.#stopBody();
		const whole = this.#answer.finish(trailers);
		if (!whole) this.#log("closed", "ended its answer before the length that it had announced");
		this.#settle(whole ? undefined : "closed");
	}

	refused(message: string): void {
		if (this.#settled) return;
		this.#answerProblem(400, `The request cannot be passed on (${message.slice(0, 200)})`, "refused");
		this.#settle(undefined);
	}

	failed(failure: "connect" | "closed" | "malformed", message: string, code?: number): void {
		if (this.#settled) return;
		this.#stopBody();
		this.#log(failure, message);
		if (failure === "connect" && this.#options.handsBack) return this.#settle(failure, true);
		if (this.#answer.status === undefined) {
			const { service } = this.#admitted.revision;
			this.#answerProblem(502, `The container of service '${service}' ${message}`, failure);
		} else this.#answer.cut(code);
		this.#settle(failure);
	}

	#timedOut(which: string): void {
		if (this.#settled) return;
		this.#stopBody();
		this.#upstream?.cancel();
		this.#log("timeout", `did not finish within its ${which}`);
		const answer = this.#answer;
		// Knative's own words, and its way of ending an answer that has begun (queue-proxy's timeout handler): the instance goes on.
		const words = which === "timeout" ? "request timeout" : which;
		if (answer.status === undefined) this.#answerProblem(504, words, "timeout");
		else if (this.#admitted.revision.profile === "knative" && answer.chunked && !answer.ended) {
			answer.write(Buffer.from(words));
			answer.finish([]);
		} else answer.cut();
		this.#settle("timeout");
	}

	#onClientClose = (): void => {
		if (this.#settled) return;
		this.#stopBody();
		if (this.#answer.ended) return;
		this.#upstream?.cancel();
		this.#settle(undefined);
	};

	#refuseLarge(): void {
		this.#upstream?.cancel();
		const text = `The request's body is larger than ${maxCloudRunBodyBytes / 1024 / 1024} MiB, the limit over HTTP/1 (HTTP/2 has none)`;
		if (this.#answer.status === undefined) this.#answerProblem(413, text, "body-too-large");
		else this.#answer.cut();
		this.#settle(undefined);
	}

	#refuseLargeAnswer(): void {
		this.#stopBody();
		this.#upstream?.cancel();
		const message = `announced an answer of more than ${maxCloudRunBodyBytes / 1024 / 1024} MiB, the limit over HTTP/1 unless it is sent in chunks`;
		this.#log("too-large", message);
		const { service } = this.#admitted.revision;
		this.#answerProblem(500, `The container of service '${service}' ${message}`, "answer-too-large");
		this.#settle(undefined);
	}

	#answerProblem(status: number, error: string, reason: string): void {
		const { contentType, body } = problemText(this.#client.request.headers, error, { reason });
		this.#answer.text(status, body, contentType);
	}

	#log(failure: string, message: string): void {
		const { revision, instance } = this.#admitted;
		if (!this.#deps.connections.of(instance).isNews(failure)) return;
		const { namespace, service, name } = revision;
		this.#deps.log.warn(`A container ${message}`, { namespace, service, revision: name, instance: instance.id });
	}

	#settle(failure: RequestOutcome["failure"], unanswered = false): void {
		if (this.#settled) return;
		this.#settled = true;
		this.#timeouts.end();
		this.#client.response.off("close", this.#onClientClose);
		this.#resolve({
			status: this.#answer.status,
			durationMs: this.#deps.clock.monotonic() - this.#startedAt,
			failure,
			bytesIn: this.#bytesIn,
			bytesOut: this.#answer.bytes,
			unanswered,
		});
	}
}

function ignore(): void {}

/** It has closed before anybody could hear of it. */
function isGone({ kind, response }: ClientMessage): boolean {
	return kind === "http2" ? response.stream.destroyed || response.stream.closed : response.destroyed || response.closed;
}

function upstreamHead({ kind, request }: ClientMessage, options: ForwardOptions): UpstreamHead {
	const raw = request.rawHeaders;
	const { body } = options;
	// Whoever has read the body has let the client send it.
	const own = body ? { ...options.requestHeaders, expect: undefined } : options.requestHeaders;
	return {
		method: request.method ?? "GET",
		path: options.path ?? request.url ?? "/",
		headers: forwardedRequestHeaders(raw, own === undefined ? options : { ...options, requestHeaders: own }),
		body: body?.length ?? bodyOf(kind === "http2" && request.stream.endAfterHeaders, request.headers),
		takesTrailers: (rawHeader(raw, "te") ?? "").toLowerCase().includes("trailers"),
	};
}

function bodyOf(ended: boolean, headers: ClientMessage["request"]["headers"]): UpstreamHead["body"] {
	const length = headers["content-length"];
	if (length !== undefined) return Number(length);
	if (headers["transfer-encoding"] !== undefined) return "chunked";
	// HTTP/2 has neither: the stream's end is the body's.
	return ended || headers[":path"] === undefined ? undefined : "chunked";
}
