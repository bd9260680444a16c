/** Callers of a URL with AuthType AWS_IAM, by their signature (https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html#urls-auth-iam). */
import type { IncomingMessage } from "node:http";
import { AwsError } from "../aws/errors.ts";
import type { Principal } from "../aws/service.ts";
import { readAuthorization } from "../aws/sigv4/authorization.ts";
import { type SignedRequest, signedRequest } from "../aws/sigv4/request.ts";
import { type Credentials, type PendingVerification, SigV4Verifier, streamingModes } from "../aws/sigv4/verify.ts";

export interface SignedCaller {
	principal: Principal;
	/** Checks the signature over the body. Throws AwsError. */
	verify(body: Uint8Array): void;
}

export class UrlSignatures {
	readonly #verifier: SigV4Verifier;

	constructor(options: { credentials: Credentials; region: string }) {
		this.#verifier = new SigV4Verifier(options);
	}

	/** Undefined for a request without a signature. Throws AwsError for one that can't be right. */
	begin(request: IncomingMessage, nowMs: number): SignedCaller | undefined {
		const signed = signedRequest(request);
		const authorization = readAuthorization(signed);
		if (!authorization) return undefined;
		if (authorization.scope.service !== "lambda")
			throw new AwsError(
				"InvalidSignatureException",
				403,
				`Credential should be scoped to correct service: 'lambda', not '${authorization.scope.service.slice(0, 40)}'.`,
			);
		const pending = this.#verifier.begin(signed, authorization, nowMs);
		if (streamingModes.includes(pending.declaredHash ?? ""))
			throw new AwsError("InvalidSignatureException", 403, "A function URL takes no body that is signed in pieces.");
		return { principal: pending.credential.principal, verify: (body) => this.#finish(signed, pending, body) };
	}

	#finish(signed: SignedRequest, pending: PendingVerification, body: Uint8Array): void {
		this.#verifier.finish(signed, pending, body, true);
	}
}
