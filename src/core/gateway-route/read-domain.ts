import { FieldProblems } from "../service/field-problems.ts";
import { ObjectReader } from "../service/object-reader.ts";
import type { Domain, DomainTls } from "./gateway-route.ts";
import { hostProblem } from "./host-name.ts";
import { readName, readService } from "./read-route.ts";
import { optional } from "./read-rule-checks.ts";

const words = ["none", "dev", "acme"];

/** A document as somebody wrote it, with its defaults. INVALID with every field that is wrong, its value and what is allowed. */
export function readDomain(document: unknown): Domain {
	const problems = new FieldProblems();
	if (typeof document !== "object" || document === null || Array.isArray(document))
		problems.invalid(document, "", "a domain is an object with host, service or route, and tls");
	const reader = new ObjectReader(document, "", problems);
	reader.ignore("kind", "apiVersion");
	const host = (reader.text("host") ?? "").toLowerCase();
	const problem = host === "" ? undefined : hostProblem(host);
	if (problem) problems.invalid(host, "host", problem);
	else if (host === "") problems.missing("host");
	const target = reader.has("service") ? readService(reader) : undefined;
	const route = reader.has("route") ? readName(reader, "route") : undefined;
	if (!target && route === undefined) problems.neither("", ["service", "route"]);
	if (!target) for (const field of ["namespace", "tag"]) if (reader.has(field)) problems.missing("service");
	const tls = readTls(reader);
	if (tls === "acme" && host.startsWith("*."))
		problems.invalid(
			"acme",
			"tls",
			"a public authority gives certificates for wildcards by DNS alone (RFC 8555, 8.4): name each host, or give files",
		);
	reader.end();
	problems.throwIfFound();
	return { host, ...optional("target", target), ...optional("route", route), tls };
}

function readTls(reader: ObjectReader): DomainTls {
	const { problems } = reader;
	const value = reader.any("tls");
	if (value === undefined || value === "none") return "none";
	if (value === "dev" || value === "acme") return value;
	const allowed = `must be one of ${words.join(", ")}, or {cert, key} with absolute paths of PEM files`;
	if (typeof value !== "object") {
		problems.invalid(value, "tls", allowed);
		return "none";
	}
	const files = reader.object("tls");
	const [cert = "", key = ""] = [files?.text("cert"), files?.text("key")];
	for (const [field, path] of Object.entries({ cert, key }))
		if (path === "") problems.missing(`tls.${field}`);
		else if (!path.startsWith("/")) problems.invalid(path, `tls.${field}`, "must be an absolute path of a PEM file");
	files?.end();
	return { cert, key };
}
