/** What a subscription to the Telemetry API 2022-07-01 or the Logs API 2020-08-15 may ask for (lambda-contract 2.4). */
export type TelemetryApi = "telemetry" | "logs";
export type TelemetryType = "platform" | "function" | "extension";

export interface Subscription {
	api: TelemetryApi;
	schemaVersion: string;
	types: TelemetryType[];
	buffering: Buffering;
	destination: { protocol: "HTTP"; port: number; path: string } | { protocol: "TCP"; port: number };
}

export interface Buffering {
	maxItems: number;
	maxBytes: number;
	timeoutMs: number;
}

const schemaVersions: Record<TelemetryApi, readonly string[]> = {
	telemetry: ["2022-07-01", "2022-12-13", "2025-01-29"],
	logs: ["2020-08-15", "2021-03-18"],
};
const knownTypes: readonly string[] = ["platform", "function", "extension"];
/** Least, most and default of each (docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html). */
const bufferingRange: Record<keyof Buffering, readonly [number, number, number]> = {
	maxItems: [1000, 10_000, 10_000],
	maxBytes: [262_144, 1_048_576, 262_144],
	timeoutMs: [25, 30_000, 1000],
};
/** The endpoint's own. */
const reservedPort = 9001;

/** The subscription that a body asks for, or a sentence that says what is wrong with it. */
export function parseSubscription(api: TelemetryApi, body: unknown): Subscription | string {
	if (!isObject(body)) return "The request is not a JSON object";
	const { schemaVersion = schemaVersions[api][0], types } = body;
	if (typeof schemaVersion !== "string" || !schemaVersions[api].includes(schemaVersion))
		return `schemaVersion must be one of: ${schemaVersions[api].join(", ")}`;
	if (!Array.isArray(types) || types.length === 0 || types.some((type) => !knownTypes.includes(type)))
		return `types must be one or more of: ${knownTypes.join(", ")}`;
	const buffering = parseBuffering(body.buffering);
	if (typeof buffering === "string") return buffering;
	const destination = parseDestination(body.destination);
	if (typeof destination === "string") return destination;
	return { api, schemaVersion, types: [...new Set(types as TelemetryType[])], buffering, destination };
}

function parseBuffering(value: unknown): Buffering | string {
	if (value !== undefined && !isObject(value)) return "buffering must be an object";
	const buffering = { maxItems: 0, maxBytes: 0, timeoutMs: 0 };
	for (const name of Object.keys(buffering) as (keyof Buffering)[]) {
		const [least, most, usual] = bufferingRange[name];
		const asked = value?.[name] ?? usual;
		if (typeof asked !== "number" || !Number.isInteger(asked) || asked < least || asked > most)
			return `buffering.${name} must be an integer from ${least} to ${most}`;
		buffering[name] = asked;
	}
	return buffering;
}

function parseDestination(value: unknown): Subscription["destination"] | string {
	if (!isObject(value)) return "destination is missing";
	const { protocol, URI: uri, port } = value;
	if (protocol === "TCP") {
		if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65_535)
			return "destination.port must be an integer from 1 to 65535";
		return port === reservedPort ? portReserved : { protocol, port };
	}
	if (protocol !== "HTTP") return "destination.protocol must be HTTP or TCP";
	if (typeof uri !== "string" || !URL.canParse(uri)) return "destination.URI must be a URI";
	const url = new URL(uri);
	if (url.protocol !== "http:") return "destination.URI must be an http URI";
	if (url.hostname !== "sandbox.localdomain" && url.hostname !== "sandbox")
		return "destination.URI host must be sandbox.localdomain";
	const urlPort = Number(url.port || 80);
	return urlPort === reservedPort ? portReserved : { protocol, port: urlPort, path: url.pathname + url.search };
}

const portReserved = `destination port ${reservedPort} is reserved`;

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
