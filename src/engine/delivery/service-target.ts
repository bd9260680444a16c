/** Services as targets: `arn:slipway:run:REGION:ACCOUNT:service/NAMESPACE/NAME[/path]`, called over HTTP. */
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { HttpAnswer, HttpCall, HttpCaller } from "../../core/delivery/http-caller.ts";
import type { CallOutcome, Delivery, Handover, TargetKind } from "../../core/delivery/target.ts";
import type { ServiceRoutes } from "../../core/service/traffic.ts";

export interface ServiceTargetDeps {
	routes: ServiceRoutes;
	caller: HttpCaller;
	/** For dates in Retry-After. */
	clock: { now(): number };
	region: string;
	accountId: string;
	/**
	 * Whether an answer other than 2xx is always tried again, as Eventarc does (http-contracts 5.2). By default a 4xx that is
	 * neither 408 nor 429 is final. Asked for each failure.
	 */
	retriesEveryFailure?: (namespace: string, name: string) => boolean;
	/** Milliseconds for one call; 300,000 where it is left out. */
	timeoutMs?: number;
}

export interface ServiceAddress {
	namespace: string;
	name: string;
	/** "/" where the ARN has none. */
	path: string;
}

/** Cloud Run's default for a request (https://cloud.google.com/run/docs/configuring/request-timeout). */
const defaultTimeoutMs = 300_000;
/** A Retry-After beyond this is taken as this: a day, after which nothing is retried anyway. */
const maxRetryAfterMs = 86_400_000;
/** Characters of an answer that an error repeats. */
const maxShownAnswer = 300;
const printable = /^[\x20-\x7e]*$/;
const prefix = "arn:slipway:run:";
const pattern =
	/^arn:slipway:run:([a-z0-9-]+):(\d{12}):service\/([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\/([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(\/[\x21-\x7e]{0,2047})?$/;

export class ServiceTarget implements TargetKind {
	readonly #deps: ServiceTargetDeps;

	constructor(deps: ServiceTargetDeps) {
		this.#deps = deps;
	}

	arn(namespace: string, name: string, path = ""): string {
		return `${prefix}${this.#deps.region}:${this.#deps.accountId}:service/${namespace}/${name}${path}`;
	}

	owns(arn: string): boolean {
		return arn.startsWith(prefix);
	}

	check(arn: string): void {
		this.#find(arn);
	}

	handOver(arn: string, delivery: Delivery): Handover {
		const address = this.#find(arn);
		return { kind: "call", run: (signal) => this.#call(address, delivery, signal) };
	}

	#find(arn: string): ServiceAddress {
		const address = this.#parse(arn);
		if (!this.#deps.routes.find(address.namespace, address.name, undefined))
			throw new SlipwayError(
				"NOT_FOUND",
				`There is no service '${address.name}' in the namespace '${address.namespace}'`,
				{
					hint: "`slipway service ls` lists those that there are",
				},
			);
		return address;
	}

	#parse(arn: string): ServiceAddress {
		const [, region, account, namespace, name, path = "/"] = pattern.exec(arn) ?? [];
		if (namespace === undefined || name === undefined)
			throw new SlipwayError(
				"INVALID",
				`'${arn.slice(0, maxShownAnswer)}' is not the ARN of a service: ${prefix}REGION:ACCOUNT:service/NAMESPACE/NAME[/path]`,
			);
		if (region !== this.#deps.region || account !== this.#deps.accountId)
			throw new SlipwayError(
				"INVALID",
				`The service '${name}' is of another region or account: here it is ${this.arn(namespace, name)}`,
			);
		return { namespace, name, path };
	}

	async #call(address: ServiceAddress, delivery: Delivery, signal: AbortSignal): Promise<CallOutcome> {
		try {
			const answer = await this.#deps.caller.call(this.#request(address, delivery), signal);
			return this.#outcome(address, answer);
		} catch (error) {
			const code = isSlipwayError(error) ? error.code : "UNAVAILABLE";
			const message = error instanceof Error ? error.message : String(error);
			// An answer that is too long was an answer: the service would only give it again.
			return { ok: false, permanent: code === "TOO_LARGE", code, message };
		}
	}

	#request({ namespace, name, path }: ServiceAddress, { id, body, http, traceId }: Delivery): HttpCall {
		const headers: Record<string, string> = {
			"content-type": "application/json",
			"x-request-id": id,
			// Whoever sent the event chose it: what can't stand in a header would have every try fail.
			...(traceId !== undefined && printable.test(traceId) && { "x-amzn-trace-id": traceId }),
			...http?.headers,
		};
		const timeoutMs = this.#deps.timeoutMs ?? defaultTimeoutMs;
		return { namespace, name, path: http?.path ?? path, method: "POST", headers, body, timeoutMs };
	}

	#outcome({ namespace, name }: ServiceAddress, { status, headers, body }: HttpAnswer): CallOutcome {
		if (status >= 200 && status < 300) return { ok: true, status, headers, body };
		const retriesAll = this.#deps.retriesEveryFailure?.(namespace, name) ?? false;
		const retryAfterMs = retryAfter(headers["retry-after"], this.#deps.clock.now());
		const text = Buffer.from(body.subarray(0, maxShownAnswer)).toString().trim();
		return {
			ok: false,
			// 410: the subscriber is gone for good, whatever the profile (CloudEvents' web hooks, 4.1).
			permanent: status === 410 || (!retriesAll && isFinal(status)),
			code: String(status),
			message: `The service ${namespace}/${name} answered ${status}${text && `: ${text}`}`,
			...(retryAfterMs !== undefined && { retryAfterMs }),
		};
	}
}

/** Redirects are not followed (CloudEvents' web hooks, 4.1), and will be no other next time. */
function isFinal(status: number): boolean {
	return status >= 300 && status < 500 && status !== 408 && status !== 429;
}

/** RFC 9110, 10.2.3: seconds or a date. */
function retryAfter(text: string | undefined, nowMs: number): number | undefined {
	if (text === undefined) return undefined;
	const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
	return Number.isNaN(ms) ? undefined : Math.min(maxRetryAfterMs, Math.max(0, ms));
}
