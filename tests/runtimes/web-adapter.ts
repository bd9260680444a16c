/** AWS's Lambda Web Adapter as its authors publish it on the Rust registry, in front of a web server that knows of no Lambda. */
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { isThere, run } from "../../tools/run.ts";
import { cacheFolder, type ImageSource } from "./image.ts";
import { needRust } from "./toolchains.ts";

const crate = "lambda_web_adapter";
const version = "1.0.0-rc1";

export const webAdapterImage: ImageSource = {
	name: "web-adapter",
	folder: join(import.meta.dirname, "web-adapter"),
	versions: [version],
	prepare: async (context) => await copyFile(await buildAdapter(), join(context, "lambda-adapter")),
};

/** Compiled once, a minute or two, with the C library in it so that it runs on every base image. */
async function buildAdapter(): Promise<string> {
	const root = join(cacheFolder, `${crate}-${version}`);
	const program = join(root, "bin", "lambda-adapter");
	if (await isThere("test", ["-x", program])) return program;
	await needRust(84);
	const target = /^host: (\S+)$/m.exec(await run("rustc", ["-vV"]))?.[1];
	if (target === undefined) throw new Error("rustc -vV names no host");
	await mkdir(cacheFolder, { recursive: true });
	const env = {
		...process.env,
		RUSTFLAGS: "-C target-feature=+crt-static",
		CARGO_TARGET_DIR: join(cacheFolder, "rust-target"),
	};
	const words = ["install", "--quiet", "--locked", "--target", target, "--root", root, "--version", version, crate];
	await run("cargo", words, { env });
	return program;
}

/** An event as a function URL makes it (payload format 2.0). */
export function urlEvent(method: string, path: string, query = "", change: Record<string, unknown> = {}) {
	const host = "abc.lambda-url.us-east-1.on.aws";
	return {
		version: "2.0",
		routeKey: "$default",
		rawPath: path,
		rawQueryString: query,
		headers: { host, "x-kind": "url" },
		requestContext: {
			accountId: "anonymous",
			apiId: "abc",
			domainName: host,
			domainPrefix: "abc",
			http: { method, path, protocol: "HTTP/1.1", sourceIp: "127.0.0.1", userAgent: "test" },
			requestId: "request-1",
			routeKey: "$default",
			stage: "$default",
			time: "21/Nov/2026:06:00:00 +0000",
			timeEpoch: 1_795_240_800_000,
		},
		isBase64Encoded: false,
		...change,
	};
}

/** An event as a REST API makes it (payload format 1.0). */
export function restEvent(method: string, path: string, body: string) {
	return {
		resource: "/{proxy+}",
		path,
		httpMethod: method,
		headers: { Host: "api", "x-kind": "rest" },
		multiValueHeaders: { Host: ["api"], "x-kind": ["rest"] },
		queryStringParameters: { q: "1" },
		multiValueQueryStringParameters: { q: ["1"] },
		pathParameters: { proxy: path.slice(1) },
		stageVariables: null,
		requestContext: {
			accountId: "123456789012",
			apiId: "abc",
			httpMethod: method,
			identity: { sourceIp: "127.0.0.1" },
			path: `/prod${path}`,
			protocol: "HTTP/1.1",
			requestId: "request-1",
			resourceId: "r",
			resourcePath: "/{proxy+}",
			stage: "prod",
		},
		body,
		isBase64Encoded: false,
	};
}

/** An event as an application load balancer makes it. */
export function balancerEvent(method: string, path: string) {
	return {
		requestContext: {
			elb: { targetGroupArn: "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/t/1" },
		},
		httpMethod: method,
		path,
		queryStringParameters: { q: "1" },
		headers: { host: "balancer", "x-kind": "balancer" },
		body: "",
		isBase64Encoded: false,
	};
}
