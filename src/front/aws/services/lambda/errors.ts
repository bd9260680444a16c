/** SlipwayError codes in Lambda's words (lambda-contract 4.4). */
import type { SlipwayError } from "../../../../base/error.ts";
import type { AwsService, BodyTooLarge, WireError } from "../../service.ts";

const invalid: WireError = { name: "InvalidParameterValueException", status: 400 };
const conflict: WireError = { name: "ResourceConflictException", status: 409 };
const failed: WireError = { name: "ServiceException", status: 500 };
const tooLarge: WireError = { name: "RequestEntityTooLargeException", status: 413 };
const throttled: WireError = { name: "TooManyRequestsException", status: 429 };

export const lambdaErrors: AwsService["errors"] = {
	INVALID: invalid,
	INVALID_IMAGE: invalid,
	DIGEST_MISMATCH: invalid,
	UNSUPPORTED: invalid,
	NOT_FOUND: { name: "ResourceNotFoundException", status: 404 },
	ALREADY_EXISTS: conflict,
	CONFLICT: conflict,
	PRECONDITION: { name: "PreconditionFailedException", status: 412 },
	UNAUTHENTICATED: { name: "UnrecognizedClientException", status: 403 },
	FORBIDDEN: { name: "AccessDeniedException", status: 403 },
	TOO_LARGE: tooLarge,
	THROTTLED: throttled,
	DEADLINE: failed,
	EXHAUSTED: failed,
	UNAVAILABLE: failed,
	SANDBOX_FAILED: failed,
};

export const internalError = failed;

/** The engine names these by an error's reason, where the code alone says less (ports.ts); with their statuses. */
const byReason = new Map([
	["AliasLimitExceededException", 400],
	["CodeArtifactUserDeletedException", 409],
	["CodeArtifactUserFailedException", 409],
	["CodeArtifactUserPendingException", 409],
	["ResourceInUseException", 400],
	["CodeStorageExceededException", 400],
	["PolicyLengthExceededException", 400],
	["ProvisionedConcurrencyConfigNotFoundException", 404],
	["ValidationException", 400],
]);

export function translate(error: SlipwayError): WireError | undefined {
	const status = error.reason === undefined ? undefined : byReason.get(error.reason);
	if (status !== undefined && error.reason !== undefined) return { name: error.reason, status };
	if (error.code !== "THROTTLED") return undefined;
	return { ...throttled, details: { Reason: error.reason ?? "ConcurrentInvocationLimitExceeded" } };
}

export function malformedBody(why: string) {
	return {
		error: { name: "InvalidRequestContentException", status: 400 },
		message: `Could not parse request body into json: ${why}`,
	};
}

export function bodyTooLarge({ limit, operation }: BodyTooLarge) {
	// The operation's name in the model is not the one in this message.
	const name = operation === "Invoke" ? "InvokeFunction" : (operation ?? "requested");
	const hint = operation === "CreateFunction" || operation === "UpdateFunctionCode" ? `. ${imagesOnly}` : "";
	const message = `Request must be smaller than ${limit} bytes for the ${name} operation${hint}`;
	return { error: { ...tooLarge, details: { Message: message } }, message };
}

export const imagesOnly =
	"Slipway runs container images only: push the image to its registry and use --package-type Image --code ImageUri=…";
