import { FieldProblems } from "../service/field-problems.ts";
import { dns1123LabelProblem } from "../service/kubernetes-names.ts";
import { ObjectReader } from "../service/object-reader.ts";
import {
	anyMethod,
	defaultPath,
	type FunctionTarget,
	type GatewayRoute,
	type RouteCors,
	type RouteRule,
	type RouteTarget,
	type ServiceTarget,
} from "./gateway-route.ts";
import { hostProblem } from "./host-name.ts";
import { optional, readJwt, readRateLimit, readSchema } from "./read-rule-checks.ts";
import { parseRoutePattern } from "./route-pattern.ts";

/** API Gateway's quota of routes in one API (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html). */
const maxRules = 300;
const maxHosts = 50;
/** Milliseconds: a function's own limit is 15 minutes. */
const maxTimeoutMs = 900_000;
/** The same page's "maximum integration timeout". */
export const defaultTimeoutMs = 30_000;
const methods = [anyMethod, "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const maxAgeS = 86_400;

/** A document as somebody wrote it, with its defaults. INVALID with every field that is wrong, its value and what is allowed. */
export function readGatewayRoute(document: unknown, defaultHost: string): GatewayRoute {
	const problems = new FieldProblems();
	if (typeof document !== "object" || document === null || Array.isArray(document))
		problems.invalid(document, "", "a route is an object with name and rules");
	const reader = new ObjectReader(document, "", problems);
	// What kubectl-like manifests carry; the kind was the caller's way to get here.
	reader.ignore("kind", "apiVersion");
	const route = {
		name: readName(reader, "name"),
		hosts: readHosts(reader, defaultHost),
		...optional("cors", readCors(reader.object("cors"))),
		rules: readRules(reader),
	};
	reader.end();
	problems.throwIfFound();
	return route;
}

function readRules(reader: ObjectReader): RouteRule[] {
	const rules = reader.objects("rules");
	if (!reader.has("rules") || (rules.length === 0 && !reader.problems.found))
		reader.problems.missing(reader.at("rules"));
	if (rules.length > maxRules)
		reader.problems.invalid(`a list of ${rules.length}`, reader.at("rules"), `must have at most ${maxRules} items`);
	return rules.slice(0, maxRules).map(readRule);
}

function readRule(reader: ObjectReader): RouteRule {
	const { problems } = reader;
	const method = (reader.text("method") ?? anyMethod).toUpperCase();
	if (!methods.includes(method)) problems.invalid(method, reader.at("method"), `must be one of ${methods.join(", ")}`);
	const path = readPath(reader);
	if (path === defaultPath && method !== anyMethod)
		problems.invalid(
			method,
			reader.at("method"),
			`the path ${defaultPath} is for every method: leave it out, or ${anyMethod}`,
		);
	const timeoutMs = reader.bounded("timeoutMs", 1, maxTimeoutMs);
	const jwt = readJwt(reader.object("jwt"));
	const rule: RouteRule = {
		method,
		path,
		target: readTarget(reader, path),
		...optional("cors", readCors(reader.object("cors"))),
		...optional("jwt", jwt),
		...optional("schema", readSchema(reader.object("schema"))),
		...optional("rateLimit", readRateLimit(reader.object("rateLimit"), jwt !== undefined)),
		...optional("internal", reader.flag("internal")),
		...optional("timeoutMs", timeoutMs),
	};
	if (timeoutMs !== undefined && "service" in rule.target)
		problems.disallowed(reader.at("timeoutMs"), "a service has its own, spec.template.spec.timeoutSeconds");
	reader.end();
	return rule;
}

function readPath(reader: ObjectReader): string {
	const path = reader.text("path");
	if (path === undefined) {
		reader.problems.missing(reader.at("path"));
		return "/";
	}
	if (path === defaultPath) return path;
	const pattern = parseRoutePattern(path);
	if ("problem" in pattern) reader.problems.invalid(path, reader.at("path"), `must be ${pattern.problem}`);
	return path;
}

function readTarget(reader: ObjectReader, pattern: string): RouteTarget {
	const target = reader.object("target");
	if (!target) {
		if (reader.any("target") === undefined) reader.problems.missing(reader.at("target"));
		return { service: "", namespace: "default" };
	}
	const read = target.has("function") ? readFunction(target) : readService(target, pattern);
	if (target.has("function") && target.has("service")) target.problems.both(target.path, ["service", "function"]);
	else if (!target.has("function") && !target.has("service"))
		target.problems.neither(target.path, ["service", "function"]);
	target.ignore("service", "function");
	target.end();
	return read;
}

function readFunction(target: ObjectReader): FunctionTarget {
	const name = target.text("function") ?? "";
	if (!/^[A-Za-z0-9_-]{1,64}$/.test(name))
		target.problems.invalid(
			name,
			target.at("function"),
			"must be a function's name: 1 to 64 letters, digits, '-' and '_'",
		);
	const qualifier = target.text("qualifier");
	if (qualifier !== undefined && !/^(\$LATEST|[A-Za-z0-9_-]{1,128})$/.test(qualifier))
		target.problems.invalid(qualifier, target.at("qualifier"), "must be a version, an alias or $LATEST");
	return { function: name, ...optional("qualifier", qualifier) };
}

export function readService(target: ObjectReader, pattern?: string): ServiceTarget {
	const service = target.has("service") ? readName(target, "service") : "";
	const namespace = target.has("namespace") ? readName(target, "namespace") : "default";
	const tag = target.has("tag") ? readName(target, "tag") : undefined;
	const path = pattern === undefined ? undefined : readRewrite(target, pattern);
	return { service, namespace, ...optional("tag", tag), ...optional("path", path) };
}

/** Its variables have to be the pattern's. */
function readRewrite(target: ObjectReader, pattern: string): string | undefined {
	const path = target.text("path");
	if (path === undefined) return undefined;
	const allowed = [...pattern.matchAll(/\{([^{}+]+)\+?\}/g)].map(([, name]) => name);
	const text = path.replace(/\{([^{}+]+)\+?\}/g, "x");
	const used = [...path.matchAll(/\{([^{}+]+)\+?\}/g)].map(([, name]) => name);
	const unknown = used.find((name) => !allowed.includes(name));
	if (unknown !== undefined)
		target.problems.invalid(
			path,
			target.at("path"),
			`may name the variables of the rule's path: ${allowed.join(", ") || "it has none"}`,
		);
	else if (
		!/^\/[A-Za-z0-9._~!$&'()*+,;=:@/%-]*$/.test(text) ||
		text.split("/").some((part) => part === "." || part === "..")
	)
		target.problems.invalid(
			path,
			target.at("path"),
			"must begin with a slash and have escapes for what is no plain path",
		);
	return path;
}

export function readName(reader: ObjectReader, field: string): string {
	const name = reader.text(field);
	if (name === undefined) {
		if (!reader.has(field)) reader.problems.missing(reader.at(field));
		return "";
	}
	const problem = dns1123LabelProblem(name);
	if (problem) reader.problems.invalid(name, reader.at(field), problem);
	return name;
}

function readHosts(reader: ObjectReader, defaultHost: string): string[] {
	const hosts = reader.texts("hosts") ?? [];
	if (hosts.length > maxHosts)
		reader.problems.invalid(`a list of ${hosts.length}`, reader.at("hosts"), `must have at most ${maxHosts} items`);
	for (const [index, host] of hosts.entries()) {
		const problem = hostProblem(host.toLowerCase());
		if (problem) reader.problems.invalid(host, `${reader.at("hosts")}[${index}]`, problem);
	}
	return hosts.length === 0 ? [defaultHost] : [...new Set(hosts.map((host) => host.toLowerCase()))];
}

function readCors(reader: ObjectReader | undefined): RouteCors | undefined {
	if (!reader) return undefined;
	const cors: RouteCors = {
		...optional("allowOrigins", reader.texts("allowOrigins")),
		...optional("allowMethods", reader.texts("allowMethods")),
		...optional("allowHeaders", reader.texts("allowHeaders")),
		...optional("exposeHeaders", reader.texts("exposeHeaders")),
		...optional("allowCredentials", reader.flag("allowCredentials")),
		...optional("maxAge", reader.bounded("maxAge", -1, maxAgeS)),
	};
	for (const origin of cors.allowOrigins ?? [])
		if (!/^(\*|https?:\/\/(\*|[^\s/*?#]+)|null|[a-z][a-z0-9+.-]*:\/\/[^\s*?#]*)$/i.test(origin))
			reader.problems.invalid(
				origin,
				reader.at("allowOrigins"),
				"must be *, http://*, https://*, or an origin such as https://example.com",
			);
	for (const name of ["allowMethods", "allowHeaders", "exposeHeaders"] as const)
		for (const value of cors[name] ?? [])
			if (!/^[!#$%&'*+.^_`|~A-Za-z0-9-]+$/.test(value))
				reader.problems.invalid(value, reader.at(name), "must be *, or the name of a method or header");
	if (cors.allowCredentials && cors.allowOrigins?.some((origin) => origin.endsWith("*")))
		reader.problems.invalid(
			"true",
			reader.at("allowCredentials"),
			"must name the origins: a wildcard with credentials lets every site act for its visitors",
		);
	reader.end();
	return cors;
}
