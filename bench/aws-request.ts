/** Whole requests of the AWS APIs, made before the clock starts. */
import type { LocalDaemon } from "../tools/local-daemon.ts";
import { type Answer, signedRequest } from "./http-connection.ts";

/** "signed": Signature Version 4, as SDKs do. "token": the daemon's own bearer token, which costs both sides less. */
export type Authorization = "signed" | "token";

/** An operation of a service with a JSON protocol: "AmazonSQS.SendMessage". */
export function operationRequest(
	daemon: LocalDaemon,
	{ service, target, version = "1.0" }: { service: string; target: string; version?: "1.0" | "1.1" },
	input: object,
	authorization: Authorization = "signed",
): Buffer {
	const headers = { "content-type": `application/x-amz-json-${version}`, "x-amz-target": target };
	return awsRequest(
		daemon,
		{ service, method: "POST", path: "/", headers, body: JSON.stringify(input) },
		authorization,
	);
}

export function awsRequest(
	daemon: LocalDaemon,
	request: { service: string; method: string; path: string; body: string; headers?: Record<string, string> },
	authorization: Authorization = "signed",
): Buffer {
	const { url, region, credentials, registry } = daemon;
	if (authorization === "signed") return signedRequest({ url, region, ...request }, credentials);
	const lines = [
		`${request.method} ${request.path} HTTP/1.1`,
		`host: ${registry}`,
		`authorization: Bearer ${credentials.token}`,
		...Object.entries(request.headers ?? {}).map(([name, value]) => `${name}: ${value}`),
		`content-length: ${Buffer.byteLength(request.body)}`,
	];
	return Buffer.from(`${lines.join("\r\n")}\r\n\r\n${request.body}`);
}

/** The body of an answer of 200 to 299, JSON. */
export function accepted(answer: Answer): unknown {
	if (answer.status < 200 || answer.status > 299)
		throw new Error(`A request was answered ${answer.status}: ${answer.body}`);
	return answer.body.length === 0 ? undefined : JSON.parse(String(answer.body));
}
