import type * as sdk from "@aws-sdk/client-lambda";
import { type AwsService, handlersOf } from "../../service.ts";
import { aliasHandlers } from "./alias-handlers.ts";
import { concurrencyHandlers } from "./concurrency-handlers.ts";
import { validateLambda } from "./constraints.ts";
import { bodyTooLarge, internalError, lambdaErrors, malformedBody, translate } from "./errors.ts";
import { eventHandlers } from "./event-handlers.ts";
import { invokeHandler } from "./invoke.ts";
import { maxPayloadBytes } from "./invoke-request.ts";
import { invokeStreamHandler } from "./invoke-stream.ts";
import { policyHandlers } from "./policy-handlers.ts";
import type { LambdaDeps } from "./ports.ts";
import { readHandlers } from "./read-handlers.ts";
import { settingHandlers } from "./setting-handlers.ts";
import { tagHandlers } from "./tag-handlers.ts";
import { unsupportedHandlers } from "./unsupported.ts";
import { urlHandlers } from "./url-handlers.ts";
import { versionHandlers } from "./version-handlers.ts";
import { writeHandlers } from "./write-handlers.ts";

/** Small zip files are read, so that the refusal can say what to do instead; larger ones than this get 413. */
const maxCodeBytes = 4 * 1024 * 1024;

/** AWS Lambda, API 2015-03-31, for functions of package type Image. */
export function lambdaService(deps: LambdaDeps): AwsService {
	return {
		name: "lambda",
		protocol: "rest-json",
		sdkPackage: "@aws-sdk/client-lambda",
		handlers: handlersOf<typeof sdk>({
			...unsupportedHandlers(),
			...writeHandlers(deps),
			...readHandlers(deps),
			...tagHandlers(deps.functions),
			...versionHandlers(deps),
			...aliasHandlers(deps),
			...policyHandlers(deps),
			...concurrencyHandlers(deps),
			...urlHandlers(deps),
			...settingHandlers(deps),
			...eventHandlers(deps),
		}),
		rawHandlers: { Invoke: invokeHandler(deps) },
		streamHandlers: { InvokeWithResponseStream: invokeStreamHandler(deps) },
		maxBodyBytes: {
			Invoke: maxPayloadBytes,
			InvokeWithResponseStream: maxPayloadBytes,
			CreateFunction: maxCodeBytes,
			UpdateFunctionCode: maxCodeBytes,
		},
		errors: lambdaErrors,
		internalError,
		translate,
		malformedBody,
		bodyTooLarge,
		validate: validateLambda,
	};
}
