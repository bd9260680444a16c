/** OpenTelemetry's own environment variables (https://opentelemetry.io/docs/specs/otel/protocol/exporter/), as far as spans go. */

export interface TracingConfig {
	/** Whole, with its path. */
	endpoint: string;
	/** May hold a key: never logged. */
	headers: Readonly<Record<string, string>>;
	serviceName: string;
	/** Milliseconds for one request to the collector. */
	timeoutMs: number;
}

export const tracingVariables: Readonly<Record<string, { default: string; description: string }>> = {
	OTEL_EXPORTER_OTLP_ENDPOINT: {
		default: "none: no spans",
		description: "OpenTelemetry collector that gets a span for each invocation, such as http://localhost:4318",
	},
	OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: {
		default: "the one above and /v1/traces",
		description: "The same as a whole URL, for spans alone",
	},
	OTEL_EXPORTER_OTLP_HEADERS: {
		default: "none",
		description: "Headers for the collector, key=value,key=value (also OTEL_EXPORTER_OTLP_TRACES_HEADERS)",
	},
	OTEL_EXPORTER_OTLP_TIMEOUT: { default: "10000", description: "Milliseconds for one request to the collector" },
	OTEL_SERVICE_NAME: { default: "slipway", description: "Name of this daemon in its spans" },
	OTEL_SDK_DISABLED: { default: "false", description: "true: no spans, whatever else is set" },
};

type Environment = Readonly<Record<string, string | undefined>>;

/** Undefined where no collector is named. Problems and warnings are added to the lists. */
export function parseTracing(env: Environment, problems: string[], warnings: string[]): TracingConfig | undefined {
	if (env.OTEL_SDK_DISABLED?.toLowerCase() === "true" || env.OTEL_TRACES_EXPORTER === "none") return undefined;
	const endpoint = findEndpoint(env, problems);
	if (endpoint === undefined) return undefined;
	const protocol = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL;
	if (protocol && protocol !== "http/json")
		warnings.push(`Spans are sent as http/json: the protocol '${protocol.slice(0, 50)}' is not supported`);
	return {
		endpoint,
		headers: parseHeaders(env.OTEL_EXPORTER_OTLP_TRACES_HEADERS || env.OTEL_EXPORTER_OTLP_HEADERS || "", problems),
		serviceName: env.OTEL_SERVICE_NAME || "slipway",
		timeoutMs: parseTimeout(env.OTEL_EXPORTER_OTLP_TRACES_TIMEOUT || env.OTEL_EXPORTER_OTLP_TIMEOUT, problems),
	};
}

/** The variable for spans is used as it is, the common one is the base of a path. */
function findEndpoint(env: Environment, problems: string[]): string | undefined {
	const own = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT;
	const base = env.OTEL_EXPORTER_OTLP_ENDPOINT;
	const name = own ? "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" : "OTEL_EXPORTER_OTLP_ENDPOINT";
	const text = own || base;
	if (!text) return undefined;
	const url = URL.parse(text);
	if (url?.protocol !== "http:" && url?.protocol !== "https:") {
		problems.push(`${name} is '${text.slice(0, 200)}': it must be a URL such as http://localhost:4318`);
		return undefined;
	}
	return own ? url.href : `${url.href.replace(/\/$/, "")}/v1/traces`;
}

/** As in W3C's baggage: percent-encoded values. The values are not repeated in a problem, they may be keys. */
function parseHeaders(text: string, problems: string[]): Record<string, string> {
	const headers: Record<string, string> = {};
	for (const part of text.split(",").filter((each) => each.trim() !== "")) {
		const [, name, value] = /^\s*([!#$%&'*+.^_`|~\w-]+)\s*=\s*(.*?)\s*$/.exec(part) ?? [];
		const decoded = value === undefined ? undefined : decode(value);
		if (name === undefined || decoded === undefined || /[^\x20-\x7e]/.test(decoded)) {
			problems.push("OTEL_EXPORTER_OTLP_HEADERS must be key=value,key=value with percent-encoded values");
			return {};
		}
		headers[name.toLowerCase()] = decoded;
	}
	return headers;
}

function decode(value: string): string | undefined {
	try {
		return decodeURIComponent(value);
	} catch {
		return undefined;
	}
}

function parseTimeout(text: string | undefined, problems: string[]): number {
	const value = Number(text || 10_000);
	if (Number.isInteger(value) && value >= 1 && value <= 600_000) return value;
	problems.push(`OTEL_EXPORTER_OTLP_TIMEOUT is '${text?.slice(0, 50)}': it must be 1 to 600000 milliseconds`);
	return 10_000;
}
