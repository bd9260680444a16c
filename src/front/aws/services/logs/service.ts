import type * as sdk from "@aws-sdk/client-cloudwatch-logs";
import { AwsError } from "../../errors.ts";
import { type AwsService, handlersOf, type WireError } from "../../service.ts";
import { validate } from "./constraints.ts";
import { eventHandlers } from "./event-handlers.ts";
import { groupHandlers } from "./group-handlers.ts";
import { startLiveTail } from "./live-tail.ts";
import type { LogsDeps, LogsHandlers } from "./ports.ts";
import { putLogEvents } from "./put-log-events.ts";
import { streamHandlers } from "./stream-handlers.ts";
import { tagHandlers } from "./tag-handlers.ts";

/** Bytes of a PutLogEvents body: 1 MB of messages, of which JSON may make six times as much. */
const maxPutBytes = 8 * 1024 * 1024;

/** Amazon CloudWatch Logs, API 2014-03-28: what people and tools use to read and write logs; no queries, no filters that act. */
export function logsService(deps: LogsDeps): AwsService {
	const unavailable: WireError = { name: "ServiceUnavailableException", status: 500 };
	const invalid: WireError = { name: "InvalidParameterException", status: 400 };
	return {
		name: "logs",
		protocol: "aws-json-1.1",
		sdkPackage: "@aws-sdk/client-cloudwatch-logs",
		targetPrefix: "Logs_20140328",
		handlers: handlersOf<typeof sdk>({
			...groupHandlers(deps),
			...streamHandlers(deps),
			...eventHandlers(deps),
			...tagHandlers(deps),
			...refusedHandlers(),
			PutLogEvents: (input) => putLogEvents(deps, input),
		}),
		streamHandlers: { StartLiveTail: (request, call, signal) => startLiveTail(deps, request, call, signal) },
		maxBodyBytes: { PutLogEvents: maxPutBytes },
		validate,
		errors: {
			INVALID: invalid,
			NOT_FOUND: { name: "ResourceNotFoundException", status: 400 },
			ALREADY_EXISTS: { name: "ResourceAlreadyExistsException", status: 400 },
			CONFLICT: { name: "OperationAbortedException", status: 400 },
			PRECONDITION: { name: "OperationAbortedException", status: 400 },
			UNAUTHENTICATED: { name: "UnrecognizedClientException", status: 400 },
			FORBIDDEN: { name: "AccessDeniedException", status: 400 },
			TOO_LARGE: invalid,
			THROTTLED: { name: "ThrottlingException", status: 400 },
			INVALID_IMAGE: invalid,
			DIGEST_MISMATCH: invalid,
			UNSUPPORTED: { name: "InvalidOperationException", status: 400 },
			DEADLINE: unavailable,
			EXHAUSTED: { name: "LimitExceededException", status: 400 },
			UNAVAILABLE: unavailable,
			SANDBOX_FAILED: unavailable,
		},
		malformedBody: (why) => ({ error: { name: "SerializationException", status: 400 }, message: why }),
		internalError: unavailable,
	};
}

/** CloudWatch Logs Insights: a query language with an engine of its own. */
function refusedHandlers(): LogsHandlers {
	const refuse = () => {
		throw new AwsError(
			"InvalidOperationException",
			400,
			"Slipway has no CloudWatch Logs Insights queries; use FilterLogEvents with a filter pattern",
		);
	};
	return { StartQuery: refuse, StopQuery: refuse, GetQueryResults: refuse, DescribeQueries: refuse };
}
