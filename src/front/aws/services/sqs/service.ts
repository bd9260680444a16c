import type * as sdk from "@aws-sdk/client-sqs";
import { queueOfPath } from "../../../../core/queue/queue-name.ts";
import { type AwsService, handlersOf, type WireError } from "../../service.ts";
import { messageHandlers, messageTooLong } from "./message-handlers.ts";
import { moveTaskHandlers } from "./move-task-handlers.ts";
import type { SqsDeps } from "./ports.ts";
import { queueHandlers } from "./queue-handlers.ts";
import { missingMembers, wireErrorOf } from "./wire.ts";

/** Bytes: a message of 1 MiB, of which JSON's or a form's escapes may make six times as much. */
const maxSendBytes = 8 * 1024 * 1024;

/**
 * Amazon SQS, API 2012-11-05, in its JSON protocol and in the query protocol of older clients. Policies are kept and not
 * evaluated: the account's owner is the only principal.
 */
export function sqsService(deps: SqsDeps): AwsService {
	const invalid: WireError = { name: "InvalidParameterValue", status: 400 };
	const unavailable: WireError = { name: "ServiceUnavailable", status: 503 };
	return {
		name: "sqs",
		protocol: "aws-json-1.0",
		sdkPackage: "@aws-sdk/client-sqs",
		targetPrefix: "AmazonSQS",
		queryCompatible: true,
		xmlNamespace: "http://queue.amazonaws.com/doc/2012-11-05/",
		apiVersion: "2012-11-05",
		ownsPath: /^\/\d{12}\/[\w.-]{1,80}\/?$/,
		handlers: handlersOf<typeof sdk>({
			...queueHandlers(deps),
			...messageHandlers(deps),
			...moveTaskHandlers(deps),
		}),
		// "": of the query protocol, whose operation is known when the body has been read.
		maxBodyBytes: { SendMessage: maxSendBytes, SendMessageBatch: maxSendBytes, "": maxSendBytes },
		errors: {
			INVALID: invalid,
			NOT_FOUND: { name: "QueueDoesNotExist", status: 400 },
			ALREADY_EXISTS: { name: "QueueNameExists", status: 400 },
			CONFLICT: { name: "UnsupportedOperation", status: 400 },
			PRECONDITION: { name: "UnsupportedOperation", status: 400 },
			UNAUTHENTICATED: { name: "InvalidSecurity", status: 403 },
			FORBIDDEN: { name: "InvalidSecurity", status: 403 },
			TOO_LARGE: invalid,
			THROTTLED: { name: "RequestThrottled", status: 403 },
			INVALID_IMAGE: invalid,
			DIGEST_MISMATCH: invalid,
			UNSUPPORTED: { name: "UnsupportedOperation", status: 400 },
			DEADLINE: unavailable,
			EXHAUSTED: unavailable,
			UNAVAILABLE: unavailable,
			SANDBOX_FAILED: unavailable,
		},
		translate: wireErrorOf,
		completeInput(input, path) {
			// Older clients send to the queue's URL and may say it nowhere else.
			if (input.QueueUrl === undefined && queueOfPath(path)) input.QueueUrl = path;
		},
		missingMembers,
		bodyTooLarge: () => ({ error: invalid, message: messageTooLong().message }),
	};
}
