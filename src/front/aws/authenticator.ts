import type { IncomingMessage } from "node:http";
import type { Clock } from "../../base/clock.ts";
import { collect } from "./body.ts";
import type { BoundService } from "./bound-service.ts";
import { AwsError } from "./errors.ts";
import type { RequestLine } from "./protocol/protocol.ts";
import { guessService } from "./select-service.ts";
import type { Principal } from "./service.ts";
import { type Authorization, readAuthorization } from "./sigv4/authorization.ts";
import { decodeAwsChunked } from "./sigv4/aws-chunked.ts";
import { headerValues, type SignedRequest } from "./sigv4/request.ts";
import {
	type Credentials,
	type PendingVerification,
	SigV4Verifier,
	streamingModes,
	streamingUnsignedTrailer,
} from "./sigv4/verify.ts";

/** A request whose sender is known, as far as that can be said before its body is read. */
export interface Admitted {
	bound: BoundService;
	principal: Principal;
	/** Checks the signature over the body. Throws AwsError. */
	verify(body: Uint8Array): void;
	/** Instead of `verify`: reads a body that is signed in pieces. */
	readVerified?: (request: IncomingMessage, limit: number, taken: (bytes: number) => void) => Promise<Buffer>;
}

export interface AuthenticatorOptions {
	credentials: Credentials;
	authenticateBearer?: (token: string) => Principal | undefined;
	clock: Pick<Clock, "now">;
	region: string;
}

export class Authenticator {
	readonly #options: AuthenticatorOptions;
	readonly #services: ReadonlyMap<string, BoundService>;
	readonly #verifier: SigV4Verifier;

	constructor(options: AuthenticatorOptions, services: ReadonlyMap<string, BoundService>) {
		this.#options = options;
		this.#services = services;
		this.#verifier = new SigV4Verifier(options);
	}

	/** `selected` is told the service as soon as it is known, so that a refusal has that service's form. Throws AwsError. */
	admit(
		signed: SignedRequest,
		line: RequestLine,
		selected: (bound: BoundService) => void,
	): Admitted | Promise<Admitted> {
		const authorization = readAuthorization(signed);
		if (authorization) return this.#admitSigned(signed, line, authorization, selected);
		return this.#admitOther(signed, line, selected);
	}

	async #admitOther(
		signed: SignedRequest,
		line: RequestLine,
		selected: (bound: BoundService) => void,
	): Promise<Admitted> {
		const bound = await guessService(this.#services.values(), line);
		if (bound) selected(bound);
		const principal = this.#bearer(signed);
		if (!bound)
			throw new AwsError(
				"UnknownOperationException",
				404,
				`No AWS service here has an operation for ${line.method} ${line.path.slice(0, 200)}`,
			);
		return { bound, principal, verify() {} };
	}

	#bearer(signed: SignedRequest): Principal {
		const headers = headerValues(signed, "authorization");
		const token = headers.length === 1 ? /^Bearer +(\S+)\s*$/i.exec(headers[0]!)?.[1] : undefined;
		if (token === undefined)
			throw new AwsError(
				"MissingAuthenticationTokenException",
				403,
				"Missing Authentication Token. Sign the request (aws CLI, SDK, curl --aws-sigv4) or send 'Authorization: Bearer' with the SLIPWAY_TOKEN of `slipway env`.",
			);
		const principal = this.#options.authenticateBearer?.(token);
		if (!principal)
			throw new AwsError("UnrecognizedClientException", 403, "The bearer token included in the request is invalid.");
		return principal;
	}

	#admitSigned(
		signed: SignedRequest,
		line: RequestLine,
		authorization: Authorization,
		selected: (bound: BoundService) => void,
	): Admitted {
		const bound = this.#services.get(authorization.scope.service);
		if (bound) selected(bound);
		const pending = this.#verifier.begin(signed, authorization, this.#options.clock.now(), bound?.service.otherRegions);
		if (!bound)
			throw new AwsError(
				"NotImplementedException",
				501,
				`Slipway does not implement the service '${authorization.scope.service.slice(0, 40)}' yet`,
			);
		// S3 is the one service that signs its paths unchanged.
		const encodePath = bound.service.name !== "s3";
		const admitted: Admitted = {
			bound,
			principal: pending.credential.principal,
			verify: (body) => this.#verifier.finish(signed, pending, body, encodePath),
		};
		if (!streamingModes.includes(pending.declaredHash ?? "")) return admitted;
		this.#verifier.finish(signed, pending, undefined, encodePath);
		return {
			...admitted,
			readVerified: (request, limit, taken) =>
				collect(decodeAwsChunked(request, chunking(pending, line)), limit, taken),
		};
	}
}

function chunking({ declaredHash, signingKey, authorization }: PendingVerification, line: RequestLine) {
	const decoded = line.headers["x-amz-decoded-content-length"];
	const decodedLength = decoded === undefined ? undefined : Number(decoded);
	if (decodedLength !== undefined && !Number.isSafeInteger(decodedLength))
		throw new AwsError("InvalidChunkException", 400, "X-Amz-Decoded-Content-Length must be a number of bytes");
	return {
		signing: declaredHash === streamingUnsignedTrailer ? undefined : { key: signingKey, authorization },
		trailer: line.headers["x-amz-trailer"]?.toString(),
		decodedLength,
	};
}
