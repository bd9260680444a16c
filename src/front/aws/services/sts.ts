import type * as sdk from "@aws-sdk/client-sts";
import { type AwsService, handlersOf, type WireError } from "../service.ts";

const invalid: WireError = { name: "ValidationError", status: 400 };
const unavailable: WireError = { name: "ServiceUnavailable", status: 503 };
const denied: WireError = { name: "AccessDenied", status: 403 };

/** AWS Security Token Service, API 2011-06-15: who am I. There are no roles to assume and no sessions to hand out yet. */
export function stsService(): AwsService {
	return {
		name: "sts",
		protocol: "query",
		sdkPackage: "@aws-sdk/client-sts",
		xmlNamespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		apiVersion: "2011-06-15",
		// The global endpoint, which older SDKs use whatever their region, is signed for this region.
		otherRegions: ["us-east-1"],
		handlers: handlersOf<typeof sdk>({
			GetCallerIdentity: (_input, { principal }) => ({
				UserId: principal.userId,
				Account: principal.accountId,
				Arn: principal.arn,
			}),
		}),
		errors: {
			INVALID: invalid,
			NOT_FOUND: { name: "NoSuchEntity", status: 404 },
			ALREADY_EXISTS: { name: "EntityAlreadyExists", status: 409 },
			CONFLICT: { name: "ConcurrentModification", status: 409 },
			PRECONDITION: { name: "ConcurrentModification", status: 409 },
			UNAUTHENTICATED: { name: "InvalidClientTokenId", status: 403 },
			FORBIDDEN: denied,
			TOO_LARGE: { name: "RequestEntityTooLarge", status: 413 },
			THROTTLED: { name: "Throttling", status: 400 },
			INVALID_IMAGE: invalid,
			DIGEST_MISMATCH: invalid,
			UNSUPPORTED: { name: "NotImplemented", status: 501 },
			DEADLINE: unavailable,
			EXHAUSTED: unavailable,
			UNAVAILABLE: unavailable,
			SANDBOX_FAILED: unavailable,
		},
	};
}
