import { SlipwayError } from "../../base/error.ts";

/** Of Node's and the brokers' errors: what its reader does next. The first that matches counts. */
const hints: readonly (readonly [RegExp, string])[] = [
	[
		/self.signed|unable to (get|verify)|certificate|ERR_TLS|altname/i,
		"Give the certificate of the broker's authority as tls.ca of the connection, and a host name that its own certificate has",
	],
	[
		/ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|timed? ?out/i,
		"Start it, or correct the connection's url; it is tried again by itself",
	],
	[
		/WRONGPASS|NOAUTH|ACCESS.REFUSED|authenti|authoriz|password|permission/i,
		"Correct the user in the connection's url, its password, or what the user may do at the broker",
	],
	[
		/NOT.FOUND|no such|not found|does not exist/i,
		"Make it at the broker, or correct the trigger's source; it is looked for again by itself",
	],
	[/wal_level/i, "Set wal_level = logical in postgresql.conf, and restart PostgreSQL"],
];

/** UNAVAILABLE, with the next step for whoever reads it. The libraries' messages have the broker's words, never the password. */
export function brokerUnavailable(error: unknown, what: string): SlipwayError {
	const text = errorText(error);
	const code = error instanceof Error && "code" in error ? String(error.code) : "";
	const hint = hints.find(([pattern]) => pattern.test(`${code} ${text}`))?.[1];
	return new SlipwayError("UNAVAILABLE", `${what}: ${text}`, { cause: error, ...(hint !== undefined && { hint }) });
}

function errorText(error: unknown): string {
	// Node's own error for several addresses has an empty message.
	if (error instanceof AggregateError && error.errors[0] instanceof Error) return error.errors[0].message;
	return error instanceof Error ? error.message : String(error);
}
