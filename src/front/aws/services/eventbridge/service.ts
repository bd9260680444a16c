import type * as sdk from "@aws-sdk/client-eventbridge";
import { AwsError } from "../../errors.ts";
import { type AwsService, handlersOf, type OperationName, type WireError } from "../../service.ts";
import { archiveHandlers } from "./archive-handlers.ts";
import { busHandlers } from "./bus-handlers.ts";
import { validate } from "./constraints.ts";
import { eventHandlers } from "./event-handlers.ts";
import type { EventBridgeDeps, EventBridgeHandlers } from "./ports.ts";
import { ruleHandlers } from "./rule-handlers.ts";
import { tagHandlers } from "./tag-handlers.ts";

/** Bytes of a PutEvents body: 1 MiB of events, of which JSON may make six times as much. */
const maxPutBytes = 8 * 1_048_576;

/** Amazon EventBridge, API 2015-10-07: buses, rules, archives, replays. Permissions are kept, and evaluated nowhere. */
export function eventBridgeService(deps: EventBridgeDeps): AwsService {
	const unavailable: WireError = { name: "InternalException", status: 500 };
	const invalid: WireError = { name: "ValidationException", status: 400 };
	return {
		name: "events",
		protocol: "aws-json-1.1",
		sdkPackage: "@aws-sdk/client-eventbridge",
		targetPrefix: "AWSEvents",
		handlers: handlersOf<typeof sdk>({
			...busHandlers(deps),
			...ruleHandlers(deps),
			...eventHandlers(deps),
			...archiveHandlers(deps),
			...tagHandlers(deps),
			...refusedHandlers(),
		}),
		maxBodyBytes: { PutEvents: maxPutBytes },
		validate,
		errors: {
			INVALID: invalid,
			NOT_FOUND: { name: "ResourceNotFoundException", status: 400 },
			ALREADY_EXISTS: { name: "ResourceAlreadyExistsException", status: 400 },
			CONFLICT: { name: "IllegalStatusException", status: 400 },
			PRECONDITION: { name: "ConcurrentModificationException", status: 400 },
			UNAUTHENTICATED: { name: "UnrecognizedClientException", status: 400 },
			FORBIDDEN: { name: "AccessDeniedException", status: 400 },
			TOO_LARGE: invalid,
			THROTTLED: { name: "ThrottlingException", status: 400 },
			INVALID_IMAGE: invalid,
			DIGEST_MISMATCH: invalid,
			UNSUPPORTED: { name: "OperationDisabledException", status: 400 },
			DEADLINE: unavailable,
			EXHAUSTED: unavailable,
			UNAVAILABLE: unavailable,
			SANDBOX_FAILED: unavailable,
		},
		translate: ({ reason }) => {
			if (reason === "InvalidEventPattern") return { name: "InvalidEventPatternException", status: 400 };
			return reason === "LimitExceeded" ? { name: "LimitExceededException", status: 400 } : undefined;
		},
		malformedBody: (why) => ({ error: { name: "SerializationException", status: 400 }, message: why }),
		internalError: unavailable,
	};
}

/** What reaches out of the account: other companies' events, HTTP APIs with their credentials, other regions. */
const refused = {
	"API destinations": [
		"CreateApiDestination",
		"DescribeApiDestination",
		"UpdateApiDestination",
		"DeleteApiDestination",
		"ListApiDestinations",
	],
	connections: [
		"CreateConnection",
		"DescribeConnection",
		"UpdateConnection",
		"DeleteConnection",
		"ListConnections",
		"DeauthorizeConnection",
	],
	"global endpoints": ["CreateEndpoint", "DescribeEndpoint", "UpdateEndpoint", "DeleteEndpoint", "ListEndpoints"],
	"partner event sources": [
		"ActivateEventSource",
		"DeactivateEventSource",
		"DescribeEventSource",
		"ListEventSources",
		"CreatePartnerEventSource",
		"DeletePartnerEventSource",
		"DescribePartnerEventSource",
		"ListPartnerEventSources",
		"ListPartnerEventSourceAccounts",
		"PutPartnerEvents",
	],
} as const satisfies Record<string, readonly OperationName<typeof sdk>[]>;

function refusedHandlers(): EventBridgeHandlers {
	const entries = Object.entries(refused).flatMap(([what, operations]) =>
		operations.map((operation) => {
			const refuse = () => {
				throw new AwsError(
					"OperationDisabledException",
					400,
					`Slipway's event buses have no ${what}: ${operation} is not supported`,
				);
			};
			return [operation, refuse] as const;
		}),
	);
	return Object.fromEntries(entries);
}
