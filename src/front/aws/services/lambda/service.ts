import type * as sdk from "@aws-sdk/client-lambda";
import { type AwsService, handlersOf } from "../../service.ts";
import { aliasHandlers } from "./alias-handlers.ts";
import { concurrencyHandlers } from "./concurrency-handlers.ts";
import { validateLambda } from "./constraints.ts";
import { bodyTooLarge, internalError, lambdaErrors, malformedBody, translate } from "./errors.ts";
import { eventInvokeConfigHandlers } from "./event-invoke-config-handlers.ts";
import { eventSourceMappingHandlers } from "./event-source-mapping-handlers.ts";
import { invokeHandler } from "./invoke.ts";
import { invokeAsyncHandler, maxInvokeAsyncBytes } from "./invoke-async.ts";
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
			...tagHandlers(deps.functions, deps.eventSourceMappings),
			...versionHandlers(deps),
			...aliasHandlers(deps),
			...policyHandlers(deps),
			...concurrencyHandlers(deps),
			...urlHandlers(deps),
			...settingHandlers(deps),
			...eventSourceMappingHandlers(deps),
			...eventInvokeConfigHandlers(deps),
		}),
		rawHandlers: { Invoke: invokeHandler(deps), InvokeAsync: invokeAsyncHandler(deps) },
		streamHandlers: { InvokeWithResponseStream: invokeStreamHandler(deps) },
		maxBodyBytes: {
			Invoke: maxPayloadBytes,
			InvokeAsync: maxInvokeAsyncBytes,
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
