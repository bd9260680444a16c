import type { FunctionRevision } from "../../core/invocation/function-contract.ts";

/**
 * How a web server wants to be asked, from the variables of AWS's Lambda Web Adapter, which this takes the place of
 * (https://awslabs.github.io/aws-lambda-web-adapter/configuration/environment-variables.html).
 */
export interface WebSettings {
	port: number;
	readiness: { port: number; path: string; protocol: "http" | "tcp"; healthy: ReadonlySet<number> };
	/** For events that are no HTTP request. */
	passThroughPath: string;
	/** Taken off the beginning of paths. */
	basePath: string | undefined;
	streams: boolean;
	/** Init is over after 9.8 s, ready or not; the first event then waits. */
	asyncInit: boolean;
	/** Header whose value becomes Authorization. */
	authorizationSource: string | undefined;
	/** Answers that count as the function's error. */
	errorStatuses: ReadonlySet<number>;
	compresses: boolean;
}

/** Its file in an image that brings the adapter itself. */
export const adapterPath = "/opt/extensions/lambda-adapter";

/** Undefined for a function whose image is no web server's, as far as its environment says. */
export function webSettings(revision: FunctionRevision): WebSettings | undefined {
	const environment = environmentOf(revision);
	const port = portOf(environment.AWS_LWA_PORT);
	if (port === undefined) return undefined;
	const variable = (name: string) => environment[`AWS_LWA_${name}`];
	return {
		port,
		readiness: {
			port: portOf(variable("READINESS_CHECK_PORT")) ?? port,
			path: absolute(variable("READINESS_CHECK_PATH") ?? "/"),
			protocol: variable("READINESS_CHECK_PROTOCOL")?.toLowerCase() === "tcp" ? "tcp" : "http",
			healthy: healthyStatuses(variable),
		},
		passThroughPath: absolute(variable("PASS_THROUGH_PATH") ?? "/events"),
		basePath: variable("REMOVE_BASE_PATH") || undefined,
		streams: variable("INVOKE_MODE")?.toLowerCase() === "response_stream",
		asyncInit: variable("ASYNC_INIT") === "true",
		authorizationSource: variable("AUTHORIZATION_SOURCE")?.toLowerCase() || undefined,
		errorStatuses: statusCodes(variable("ERROR_STATUS_CODES") ?? ""),
		// The adapter refuses it for streams, too.
		compresses: variable("ENABLE_COMPRESSION") === "true",
	};
}

export function environmentOf({ image, configuration }: FunctionRevision): Readonly<Record<string, string>> {
	return { ...image.env, ...configuration.environment };
}

function portOf(text: string | undefined): number | undefined {
	const port = /^\d{1,5}$/.test(text ?? "") ? Number(text) : 0;
	return port > 0 && port < 65_536 ? port : undefined;
}

function absolute(path: string): string {
	return path.startsWith("/") ? path : `/${path}`;
}

function healthyStatuses(variable: (name: string) => string | undefined): ReadonlySet<number> {
	const given = variable("READINESS_CHECK_HEALTHY_STATUS");
	if (given !== undefined) return statusCodes(given);
	const least = Number(variable("READINESS_CHECK_MIN_UNHEALTHY_STATUS") ?? 500);
	return statusCodes(`100-${Number.isInteger(least) ? least - 1 : 499}`);
}

/** "500,502-504"; what is no number is left out. */
function statusCodes(list: string): ReadonlySet<number> {
	const codes = new Set<number>();
	for (const part of list.split(",")) {
		const [, first, last = first] = /^\s*(\d{1,3})(?:-(\d{1,3}))?\s*$/.exec(part) ?? [];
		for (let code = Number(first); code <= Number(last); code++) codes.add(code);
	}
	return codes;
}
