/**
 * Signature Version 4, the verifying side (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html).
 *
 * In two steps, so that a request that can't be right is refused before its body is read: `begin` checks who, when and
 * for what; `finish` checks the signature over the body. A request may be replayed while its time is within the allowed
 * skew, as with AWS itself (SDKs sign each retry anew, but proxies and `curl --retry` repeat the bytes); past that it is
 * refused, whatever its signature.
 */
import { timingSafeEqual } from "node:crypto";
import { AwsError } from "../errors.ts";
import type { Principal } from "../service.ts";
import { type Authorization, algorithm, basicTimestamp, incomplete } from "./authorization.ts";
import { canonicalRequest, emptySha256, sha256Hex } from "./canonical.ts";
import type { HmacKey } from "./hmac-key.ts";
import { headerValues, type SignedRequest } from "./request.ts";
import { SigningKeys } from "./signing-key.ts";

export interface Credential {
	secretAccessKey: string;
	/** Set for temporary credentials, which must be sent along with their token. */
	sessionToken?: string;
	principal: Principal;
}

/** The credential of an access key id, or undefined. */
export type Credentials = (accessKeyId: string) => Credential | undefined;

export interface VerifierOptions {
	credentials: Credentials;
	region: string;
	/** Allowed difference to the client's clock, milliseconds. */
	maxSkewMs?: number;
}

/** AWS allows a quarter of an hour. */
const defaultMaxSkewMs = 15 * 60_000;

export const unsignedPayload = "UNSIGNED-PAYLOAD";
export const streamingSigned = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
export const streamingSignedTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
export const streamingUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
export const streamingModes: readonly string[] = [streamingSigned, streamingSignedTrailer, streamingUnsignedTrailer];

/** A request whose claims fit, and whose signature is still to be checked. */
export interface PendingVerification {
	readonly authorization: Authorization;
	readonly credential: Credential;
	/** Value of X-Amz-Content-Sha256, which is then part of the signature. */
	readonly declaredHash: string | undefined;
	readonly signingKey: HmacKey;
}

export class SigV4Verifier {
	readonly #credentials: Credentials;
	readonly #region: string;
	readonly #maxSkewMs: number;
	readonly #keys = new SigningKeys();

	constructor(options: VerifierOptions) {
		this.#credentials = options.credentials;
		this.#region = options.region;
		this.#maxSkewMs = options.maxSkewMs ?? defaultMaxSkewMs;
	}

	/** Throws AwsError: UnrecognizedClientException, InvalidSignatureException, IncompleteSignatureException. */
	begin(
		request: SignedRequest,
		authorization: Authorization,
		now: number,
		otherRegions: readonly string[] = [],
	): PendingVerification {
		const credential = this.#credentials(authorization.accessKeyId);
		if (!credential || !sameText(credential.sessionToken ?? "", authorization.securityToken ?? ""))
			throw new AwsError("UnrecognizedClientException", 403, "The security token included in the request is invalid.");
		this.#checkScope(authorization, otherRegions);
		this.#checkTime(authorization, now);
		checkSignedHeaders(request, authorization);
		const declared = headerValues(request, "x-amz-content-sha256");
		if (declared.length > 1) throw incomplete("A request can carry one X-Amz-Content-Sha256 header only.");
		return {
			authorization,
			credential,
			declaredHash: declared[0]?.trim(),
			signingKey: this.#keys.get(authorization.accessKeyId, credential.secretAccessKey, authorization.scope),
		};
	}

	/** `body` is undefined where the payload's own hash is not part of the signature (`declaredHash` is a literal). Throws AwsError. */
	finish(
		request: SignedRequest,
		pending: PendingVerification,
		body: Uint8Array | undefined,
		encodePath: boolean,
	): void {
		const { authorization, declaredHash } = pending;
		const literal = declaredHash === unsignedPayload || streamingModes.includes(declaredHash ?? "");
		const actual = literal || body === undefined ? undefined : body.length === 0 ? emptySha256 : sha256Hex(body);
		const canonical = canonicalRequest(request, {
			signedHeaders: authorization.signedHeaders,
			payloadHash: declaredHash ?? actual ?? emptySha256,
			encodePath,
			...(authorization.kind === "query" ? { skipQuery: "X-Amz-Signature" } : {}),
		});
		const { date, region, service } = authorization.scope;
		const stringToSign = `${algorithm}\n${authorization.timestamp}\n${date}/${region}/${service}/aws4_request\n${sha256Hex(canonical)}`;
		const expected = pending.signingKey.sign(stringToSign);
		if (!timingSafeEqual(expected, Buffer.from(authorization.signature, "hex"))) throw mismatch();
		if (actual !== undefined && declaredHash !== undefined && declaredHash !== actual) throw payloadMismatch();
	}

	#checkScope(authorization: Authorization, otherRegions: readonly string[]): void {
		const { scope, timestamp } = authorization;
		if (scope.terminator !== "aws4_request")
			throw invalid(
				`Credential should be scoped with a valid terminator: 'aws4_request', not '${scope.terminator.slice(0, 40)}'.`,
			);
		if (scope.region !== this.#region && !otherRegions.includes(scope.region))
			throw invalid(
				`Credential should be scoped to a valid region, not '${scope.region.slice(0, 40)}'. This endpoint serves the region '${this.#region}'.`,
			);
		if (scope.date !== timestamp.slice(0, 8))
			throw invalid(
				`Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${scope.date.slice(0, 16)}' != '${timestamp.slice(0, 8)}', from '${timestamp}'.`,
			);
	}

	#checkTime({ timeMs, timestamp, expiresS }: Authorization, now: number): void {
		const skewMin = `${Math.round(this.#maxSkewMs / 60_000)} min.`;
		if (timeMs > now + this.#maxSkewMs)
			throw invalid(
				`Signature not yet current: ${timestamp} is still later than ${basicTimestamp(now + this.#maxSkewMs)} (${basicTimestamp(now)} + ${skewMin})`,
			);
		if (expiresS === undefined) {
			if (timeMs < now - this.#maxSkewMs)
				throw invalid(
					`Signature expired: ${timestamp} is now earlier than ${basicTimestamp(now - this.#maxSkewMs)} (${basicTimestamp(now)} - ${skewMin})`,
				);
		} else if (timeMs + expiresS * 1000 < now)
			throw invalid(
				`Signature expired: ${basicTimestamp(timeMs + expiresS * 1000)} is now earlier than ${basicTimestamp(now)}`,
			);
	}
}

/**
 * The host and every X-Amz-* header must be under the signature: otherwise a request could be sent to another host, or
 * given another meaning, by whoever sees it.
 */
function checkSignedHeaders(request: SignedRequest, authorization: Authorization): void {
	const signed = new Set(authorization.signedHeaders);
	if (!signed.has("host")) throw invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
	if (headerValues(request, "host").length !== 1) throw invalid("A signed request must have exactly one Host header.");
	for (let i = 0; i < request.rawHeaders.length; i += 2) {
		const name = request.rawHeaders[i]!.toLowerCase();
		if (
			name.startsWith("x-amz-") &&
			!signed.has(name) &&
			!(authorization.kind === "query" && name === "x-amz-user-agent")
		)
			throw invalid(`There were headers present in the request which were not signed: '${name.slice(0, 100)}'.`);
	}
}

function sameText(a: string, b: string): boolean {
	// The usual case of long-term credentials: there is no token to compare.
	if (a === "" && b === "") return true;
	const x = Buffer.from(a);
	const y = Buffer.from(b);
	return x.length === y.length && timingSafeEqual(x, y);
}

function mismatch(): AwsError {
	return invalid(
		"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
	);
}

function payloadMismatch(): AwsError {
	return invalid(
		"The value passed as the header 'X-Amz-Content-Sha256' does not match the SHA-256 of the request's body.",
	);
}

function invalid(message: string): AwsError {
	return new AwsError("InvalidSignatureException", 403, message);
}
