import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "./config.ts";
import { parseTracing } from "./tracing.ts";

function parse(env: Record<string, string | undefined>) {
	const problems: string[] = [];
	const warnings: string[] = [];
	return { tracing: parseTracing(env, problems, warnings), problems, warnings };
}

test("Without a collector, or where it is said so, there are no spans", () => {
	const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:4318" };
	for (const env of [
		{},
		{ OTEL_EXPORTER_OTLP_ENDPOINT: "", OTEL_SERVICE_NAME: "x" },
		{ ...endpoint, OTEL_SDK_DISABLED: "true" },
		{ ...endpoint, OTEL_TRACES_EXPORTER: "none" },
	])
		assert.deepEqual(parse(env), { tracing: undefined, problems: [], warnings: [] });
});

test("The common endpoint is a base, that of spans a whole URL", () => {
	const endpoint = (env: Record<string, string>) => parse(env).tracing?.endpoint;
	assert.equal(endpoint({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:4318" }), "http://c:4318/v1/traces");
	assert.equal(endpoint({ OTEL_EXPORTER_OTLP_ENDPOINT: "https://c/otlp/" }), "https://c/otlp/v1/traces");
	const both = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://d/traces" };
	assert.equal(endpoint(both), "http://d/traces");
});

test("Name, headers and timeout, with their defaults", () => {
	const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c" };
	assert.deepEqual(parse(endpoint).tracing, {
		endpoint: "http://c/v1/traces",
		headers: {},
		serviceName: "slipway",
		timeoutMs: 10_000,
	});
	const { tracing, warnings } = parse({
		...endpoint,
		OTEL_SERVICE_NAME: "box",
		OTEL_EXPORTER_OTLP_HEADERS: "api-key=a%20b%3D, X-Team = t",
		OTEL_EXPORTER_OTLP_TIMEOUT: "250",
		OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
	});
	assert.deepEqual(
		[tracing?.serviceName, tracing?.headers, tracing?.timeoutMs],
		["box", { "api-key": "a b=", "x-team": "t" }, 250],
	);
	assert.deepEqual(warnings, ["Spans are sent as http/json: the protocol 'grpc' is not supported"]);
});

test("What is not valid is a problem of the configuration, and a key is not repeated in it", () => {
	const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c" };
	assert.match(parse({ OTEL_EXPORTER_OTLP_ENDPOINT: "localhost:4318" }).problems[0] ?? "", /it must be a URL/);
	assert.match(parse({ OTEL_EXPORTER_OTLP_ENDPOINT: "collector" }).problems[0] ?? "", /it must be a URL/);
	assert.match(parse({ ...endpoint, OTEL_EXPORTER_OTLP_TIMEOUT: "soon" }).problems[0] ?? "", /milliseconds/);
	for (const headers of ["secret", "k=%zz", "k=secret%0d%0ax: y"]) {
		const [problem = ""] = parse({ ...endpoint, OTEL_EXPORTER_OTLP_HEADERS: headers }).problems;
		assert.match(problem, /percent-encoded/);
		assert.doesNotMatch(problem, /secret/);
	}
	const machine = { root: true, userHome: "/root", memoryBytes: 2 ** 30 };
	assert.throws(() => parseConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: "ftp://c" }, machine), /OTEL_EXPORTER_OTLP_ENDPOINT/);
});
