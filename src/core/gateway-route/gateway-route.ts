/**
 * Routes by host, method and path to services and functions, as people declare them: Amazon API Gateway's HTTP API in one
 * document (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html), and the domains
 * that are a service's or a route's own.
 */

export interface GatewayRoute {
	name: string;
	/** Lower case, without port; `*.example.com` is every name below it, however deep. At least one. */
	hosts: readonly string[];
	/** Of rules that have none of their own. */
	cors?: RouteCors;
	rules: readonly RouteRule[];
}

export interface RouteRule {
	/** GET, …; ANY for every method that no other rule of the same path names. */
	method: string;
	/** `/orders/{id}`, `/files/{proxy+}`, or `$default`: whatever no other rule is for. */
	path: string;
	target: RouteTarget;
	cors?: RouteCors;
	jwt?: JwtSettings;
	schema?: RequestSchema;
	rateLimit?: RateLimitSettings;
	/** Only for requests of our own containers; for others there is no such route. */
	internal?: boolean;
	/** Milliseconds until a function's answer is there; API Gateway's 30 s unless said otherwise. A service has its own. */
	timeoutMs?: number;
}

export type RouteTarget = ServiceTarget | FunctionTarget;

export interface ServiceTarget {
	service: string;
	namespace: string;
	tag?: string;
	/** In place of the path that the client sent; `{name}` is the value of that variable, `{proxy}` the greedy one's. */
	path?: string;
}

export interface FunctionTarget {
	function: string;
	/** A version or an alias. */
	qualifier?: string;
}

/** Members as an HTTP API's (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html). */
export interface RouteCors {
	/** `*`, `https://*` (every origin of that scheme), or an origin. */
	allowOrigins?: string[];
	allowMethods?: string[];
	allowHeaders?: string[];
	exposeHeaders?: string[];
	allowCredentials?: boolean;
	/** Seconds. */
	maxAge?: number;
}

/** https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html */
export interface JwtSettings {
	/** `iss` has to be this, letter by letter. */
	issuer: string;
	/** One of them has to be in `aud`, or be `client_id` where there is no `aud`. */
	audience: readonly string[];
	/** The issuer's keys, or where they are; neither: where its OpenID configuration says. */
	jwks?: { keys: readonly Record<string, unknown>[] };
	jwksUri?: string;
	/** One of them has to be in `scope` or `scp`. */
	scopes?: readonly string[];
	/** Where the token is: `$request.header.Authorization` unless said otherwise, or `$request.querystring.NAME`. */
	identitySource?: string;
	/** Seconds by which clocks may differ, 0 to 60. */
	clockSkewS?: number;
}

/** JSON Schemas (2020-12, or draft-07 where `$schema` says so). */
export interface RequestSchema {
	body?: JsonSchema;
	/** Of an object of all parameters, each a text, or a list of them where it is repeated and the schema wants a list. */
	query?: JsonSchema;
	/** Of an object of all headers by lower-case name. */
	headers?: JsonSchema;
	/** Bytes of the longest body that is looked at; 1 MiB unless said otherwise. */
	maxBodyBytes?: number;
}

export type JsonSchema = boolean | Record<string, unknown>;

export interface RateLimitSettings {
	/** `ip`, `header:NAME`, `jwt:CLAIM` */
	key: string;
	/** Requests in a second, on the long run. */
	rate: number;
	/** Requests at once. */
	burst: number;
}

/** A name that is somebody's own. */
export interface Domain {
	/** Lower case; `*.example.com` for every name below it. */
	host: string;
	/** What answers there: a service, the rules of a route, or both: the rules first. */
	target?: ServiceTarget;
	route?: string;
	tls: DomainTls;
}

/** `dev`: by the installation's own authority. `acme`: by a public one. Files: PEM, absolute paths on the daemon's machine. */
export type DomainTls = "none" | "dev" | "acme" | { cert: string; key: string };

export function corsOf(route: GatewayRoute, rule: RouteRule): RouteCors | undefined {
	return rule.cors ?? route.cors;
}

/** API Gateway's: "GET /orders/{id}", "$default". */
export function routeKeyOf({ method, path }: RouteRule): string {
	return path === defaultPath ? defaultPath : `${method} ${path}`;
}

export const defaultPath = "$default";
export const anyMethod = "ANY";
