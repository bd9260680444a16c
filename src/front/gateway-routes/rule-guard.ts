/** What stands between a request and its rule's target: rate limits, tokens, schemas, in the order of what they cost. */
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { defaultBodyBytes } from "../../core/gateway-route/read-rule-checks.ts";
import type { TableRule } from "../../core/gateway-route/route-table.ts";
import { type RateVerdict, TokenBuckets } from "../../core/gateway-route/token-buckets.ts";
import type { GatewayRequest, GatewayResponse, Passed, RouteContext } from "../gateway/ports.ts";
import { targetOf } from "../lambda-http/request-event.ts";
import {
	type Answer,
	BodyBudget,
	BodyTooLargeError,
	BudgetSpentError,
	ClientGoneError,
	gatewayError,
	readBody,
	sendAnswer,
} from "./answer.ts";
import { corsHeaders, decidedHere } from "./cors.ts";
import { type FetchJson, fetchJson } from "./fetch-json.ts";
import { JwtVerifier, type Verified, WrongTokenError } from "./jwt.ts";
import { RequestSchemas, type SchemaProblem } from "./request-schema.ts";

export interface GuardOptions {
	clock: Pick<Clock, "now" | "monotonic">;
	log: Log;
	/** Of key sets; over the network when left out. */
	fetchJson?: FetchJson;
	/** Bytes of bodies that wait for their check, all together. */
	maxCheckedBytes?: number;
}

/** Six bodies of the largest size, or 64 of the usual bound. */
const defaultCheckedBytes = 64 * 1024 * 1024;

/** One guard for each rule that asks for one, with its buckets and keys, for as long as the rule stays as it is. */
export class RuleGuards {
	readonly #options: GuardOptions;
	readonly #budget: BodyBudget;
	readonly #guards = new WeakMap<TableRule, RuleGuard>();

	constructor(options: GuardOptions) {
		this.#options = options;
		this.#budget = new BodyBudget(options.maxCheckedBytes ?? defaultCheckedBytes);
	}

	of(entry: TableRule): RuleGuard | undefined {
		const { jwt, schema, rateLimit } = entry.rule;
		if (!jwt && !schema && !rateLimit && !entry.cors) return undefined;
		const guard = this.#guards.get(entry) ?? new RuleGuard(entry, this.#options, this.#budget);
		this.#guards.set(entry, guard);
		return guard;
	}
}

/** `jwt`: of the token, when the rule asks for one. */
export interface GuardPassed extends Passed {
	jwt?: Verified;
}

/** Thrown to answer; the rest of the guard is left out. */
class Refusal extends Error {
	readonly answer: Answer;

	constructor(answer: Answer) {
		super();
		this.answer = answer;
	}
}

export class RuleGuard {
	readonly #entry: TableRule;
	readonly #options: GuardOptions;
	readonly #budget: BodyBudget;
	readonly #buckets: TokenBuckets | undefined;
	readonly #jwt: JwtVerifier | undefined;
	readonly #schemas: RequestSchemas | undefined;

	constructor(entry: TableRule, options: GuardOptions, budget: BodyBudget) {
		const { jwt, schema, rateLimit } = entry.rule;
		this.#entry = entry;
		this.#options = options;
		this.#budget = budget;
		this.#buckets = rateLimit && new TokenBuckets(rateLimit);
		this.#jwt = jwt && new JwtVerifier(jwt, { clock: options.clock, fetchJson: options.fetchJson ?? fetchJson });
		this.#schemas = schema && new RequestSchemas(schema);
	}

	/** Never rejects. */
	async check(
		request: GatewayRequest,
		response: GatewayResponse,
		context: RouteContext,
	): Promise<"answered" | GuardPassed> {
		const cors = this.#entry.cors ? corsHeaders(this.#entry.cors, request.headers) : [];
		const added: [string, string][] = [...cors];
		try {
			const passed = await this.#pass(request, response, context, added);
			const removed = this.#entry.cors ? decidedHere.map((name): [string, undefined] => [name, undefined]) : [];
			return { ...passed, responseHeaders: [...removed, ...added] };
		} catch (error) {
			if (error instanceof ClientGoneError) {
				response.destroy();
				return "answered";
			}
			const { status, headers, body } = this.#answerOf(error, context);
			// A page may read why it was refused, too.
			const all = new Map([...headers, ...added.map(([name, value]): [string, string[]] => [name, [value]])]);
			sendAnswer(response, { status, headers: all, body });
			return "answered";
		}
	}

	#answerOf(error: unknown, { requestId }: RouteContext): Answer {
		if (error instanceof Refusal) return error.answer;
		if (error instanceof BodyTooLargeError) return gatewayError(413, "Request Entity Too Large");
		if (error instanceof BudgetSpentError) return gatewayError(503, "Service Unavailable", { "retry-after": ["1"] });
		this.#options.log.error("A route's check failed", { requestId, route: this.#entry.route.name, error });
		return gatewayError(500, "Internal Server Error");
	}

	async #pass(
		request: GatewayRequest,
		response: GatewayResponse,
		context: RouteContext,
		added: [string, string][],
	): Promise<GuardPassed> {
		const { key = "" } = this.#entry.rule.rateLimit ?? {};
		if (this.#buckets && !key.startsWith("jwt:")) this.#limit(this.#buckets, rateKey(key, request, context), added);
		const jwt = this.#jwt && (await this.#token(this.#jwt, request));
		if (this.#buckets && key.startsWith("jwt:"))
			this.#limit(this.#buckets, String(jwt?.claims[key.slice("jwt:".length)] ?? ""), added);
		const body = this.#schemas && (await this.#shape(this.#schemas, request, response));
		return { ...(jwt && { jwt }), ...(body && { body }) };
	}

	#limit(buckets: TokenBuckets, key: string, added: [string, string][]): void {
		const verdict: RateVerdict = buckets.take(key, this.#options.clock.monotonic());
		added.push(["x-ratelimit-remaining", String(verdict.remaining)]);
		if (verdict.allowed) return;
		const seconds = String(Math.max(1, Math.ceil(verdict.retryAfterMs / 1000)));
		throw new Refusal(gatewayError(429, "Too Many Requests", { "retry-after": [seconds] }));
	}

	async #token(verifier: JwtVerifier, request: GatewayRequest): Promise<Verified> {
		try {
			return await verifier.verify(request.rawHeaders, targetOf(request.url ?? "/").query);
		} catch (error) {
			if (!(error instanceof WrongTokenError)) throw error;
			const { status, challenge } = error;
			// What exactly is wrong helps whoever guesses; the challenge has the standard's word for it (RFC 6750, 3).
			const message = status === 403 ? "Forbidden" : status === 401 ? "Unauthorized" : "Service Unavailable";
			if (status === 503)
				this.#options.log.warn("The keys of a route's issuer can't be had", {
					route: this.#entry.route.name,
					reason: error.message,
				});
			throw new Refusal(
				gatewayError(status, message, challenge === undefined ? {} : { "www-authenticate": [challenge] }),
			);
		}
	}

	async #shape(
		schemas: RequestSchemas,
		request: GatewayRequest,
		response: GatewayResponse,
	): Promise<Buffer | undefined> {
		const early = await schemas.checkHead(request.headers, targetOf(request.url ?? "/").query);
		if (early.length > 0) throw new Refusal(invalid(early));
		if (!schemas.wantsBody) return undefined;
		const limit = this.#entry.rule.schema?.maxBodyBytes ?? defaultBodyBytes;
		let held = 0;
		// For as long as the request goes on: its body is handed over and held by whoever sends it.
		response.once("close", () => this.#budget.give(held));
		const body = await readBody(request, limit, (bytes) => {
			if (!this.#budget.take(bytes)) throw new BudgetSpentError();
			held += bytes;
		});
		const problems = await schemas.checkBody(body);
		if (problems.length > 0) throw new Refusal(invalid(problems));
		return body;
	}
}

function invalid(errors: readonly SchemaProblem[]): Answer {
	const what = { body: "body", query: "parameters", headers: "headers" }[errors[0]?.in ?? "body"];
	return gatewayError(400, `Invalid request ${what}`, {}, { errors });
}

/** Longest part of a header that tells callers apart, characters. */
const maxKeyLength = 256;

function rateKey(key: string, { headers }: GatewayRequest, { clientAddress }: RouteContext): string {
	if (key === "ip") return networkOf(clientAddress);
	// Those without the header share one bucket.
	return String(headers[key.slice("header:".length).toLowerCase()] ?? "").slice(0, maxKeyLength);
}

/** An IPv6 customer has at least a /64 to choose addresses from (RFC 6177). */
function networkOf(address: string): string {
	const plain = address.replace(/^::ffff:(?=\d+\.)/, "");
	if (!plain.includes(":")) return plain;
	const [head = "", tail] = plain.split("::");
	const left = head === "" ? [] : head.split(":");
	const right = tail === undefined || tail === "" ? [] : tail.split(":");
	const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => "0");
	return [...left, ...zeros, ...right].slice(0, 4).join(":");
}
