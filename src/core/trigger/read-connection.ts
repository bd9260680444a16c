import { type BrokerKind, brokerKinds } from "../event-source/event-source.ts";
import { FieldProblems } from "../service/field-problems.ts";
import { ObjectReader } from "../service/object-reader.ts";
import type { Connection, SecretValue } from "./trigger.ts";

/** Letters, digits, - and _: part of ARNs, lanes and consumers' names. */
const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$/;
export const nameRule = "must be 1 to 64 letters, digits, - and _, a letter or digit first";
const environmentPattern = /^SLIPWAY_SECRET_[A-Z0-9_]{1,64}$/;
const secretPattern = /^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,127}$/;

const schemes: Readonly<Record<BrokerKind, readonly string[]>> = {
	rabbitmq: ["amqp:", "amqps:"],
	nats: ["nats:", "tls:"],
	redis: ["redis:", "rediss:"],
	postgres: ["postgres:", "postgresql:"],
};

/** A document as somebody wrote it. INVALID with every field that is wrong; no secret is repeated. */
export function readConnection(document: unknown): Connection {
	const problems = new FieldProblems();
	const reader = new ObjectReader(document ?? "", "", problems);
	const name = readName(reader, "name");
	const kind = readKind(reader);
	const url = readUrl(reader, kind);
	const password = readSecret(reader);
	const tls = reader.object("tls");
	const ca = tls?.text("ca");
	if (ca !== undefined && !ca.includes("-----BEGIN CERTIFICATE-----"))
		problems.invalid("…", "tls.ca", "must be certificates in PEM form");
	tls?.end();
	reader.end();
	problems.throwIfFound();
	return { name, kind, url, ...(password && { password }), ...(ca !== undefined && { tls: { ca } }) };
}

export function readName(reader: ObjectReader, field: string): string {
	const name = reader.text(field);
	if (name === undefined) reader.problems.missing(reader.at(field));
	else if (!namePattern.test(name)) reader.problems.invalid(name, reader.at(field), nameRule);
	return name ?? "";
}

function readKind(reader: ObjectReader): BrokerKind {
	const kind = reader.text("kind");
	const known = brokerKinds.find((one) => one === kind);
	if (kind === undefined) reader.problems.missing("kind");
	else if (!known) reader.problems.invalid(kind, "kind", `must be one of ${brokerKinds.join(", ")}`);
	return known ?? "rabbitmq";
}

function readUrl(reader: ObjectReader, kind: BrokerKind): string {
	const { problems } = reader;
	const text = reader.text("url");
	if (text === undefined) {
		problems.missing("url");
		return "";
	}
	const allowed = schemes[kind].map((scheme) => `${scheme}//`).join(" or ");
	const url = URL.canParse(text) ? new URL(text) : undefined;
	if (url?.password) problems.invalid("…", "url", "must have no password: give it as `password`");
	else if (!url || url.hostname === "" || !schemes[kind].includes(url.protocol))
		problems.invalid(url ? text : "…", "url", `must be a URL that begins ${allowed}`);
	return text;
}

function readSecret(parent: ObjectReader): SecretValue | undefined {
	const reader = parent.object("password");
	if (!reader) return undefined;
	const { problems } = reader;
	const [value, env, secret] = [reader.text("value"), reader.text("env"), reader.text("secret")];
	reader.end();
	const given = [value, env, secret].filter((one) => one !== undefined).length;
	if (given === 0) problems.neither("password", ["value", "env", "secret"]);
	if (given > 1) problems.both("password", ["value", "env", "secret"]);
	if (env !== undefined && !environmentPattern.test(env))
		problems.invalid(env, "password.env", "must begin SLIPWAY_SECRET_ and go on with capital letters, digits and _");
	if (secret !== undefined && !secretPattern.test(secret))
		problems.invalid(secret, "password.secret", "must be the name of a file in the home's folder secrets");
	if (value !== undefined) return { value };
	return env === undefined ? { secret: secret ?? "" } : { env };
}
