/** The client's side of the signature, for tests and for the daemon's own requests. */
import { algorithm, basicTimestamp, type Scope } from "./authorization.ts";
import { canonicalRequest, sha256Hex } from "./canonical.ts";
import { SigningKeys } from "./signing-key.ts";

export interface SignOptions {
	method: string;
	/** Path and query as they will stand in the request line. */
	url: string;
	/** Host is among them. */
	headers: Readonly<Record<string, string>>;
	body?: Uint8Array | string;
	accessKeyId: string;
	secretAccessKey: string;
	region: string;
	service: string;
	nowMs: number;
	/** Instead of the body's digest, and then sent as X-Amz-Content-Sha256. */
	payloadHash?: string;
}

const keys = new SigningKeys();

/** The given headers with X-Amz-Date and Authorization; all of them are signed. */
export function signHeaders(options: SignOptions): Record<string, string> {
	const timestamp = basicTimestamp(options.nowMs);
	const scope: Scope = {
		date: timestamp.slice(0, 8),
		region: options.region,
		service: options.service,
		terminator: "aws4_request",
	};
	const headers: Record<string, string> = { ...options.headers, "X-Amz-Date": timestamp };
	if (options.payloadHash !== undefined) headers["X-Amz-Content-Sha256"] = options.payloadHash;
	const signedHeaders = Object.keys(headers)
		.map((name) => name.toLowerCase())
		.sort();
	const [path = "", query = ""] = options.url.split(/\?(.*)/s);
	const canonical = canonicalRequest(
		{ method: options.method, path, query, rawHeaders: Object.entries(headers).flat() },
		{
			signedHeaders,
			payloadHash: options.payloadHash ?? sha256Hex(options.body ?? ""),
			encodePath: options.service !== "s3",
		},
	);
	const scopeText = `${scope.date}/${scope.region}/${scope.service}/aws4_request`;
	const key = keys.get(options.accessKeyId, options.secretAccessKey, scope);
	const signature = key.sign(`${algorithm}\n${timestamp}\n${scopeText}\n${sha256Hex(canonical)}`).toString("hex");
	headers.Authorization = `${algorithm} Credential=${options.accessKeyId}/${scopeText}, SignedHeaders=${signedHeaders.join(";")}, Signature=${signature}`;
	return headers;
}
