import type * as sdk from "@aws-sdk/client-lambda";
import { type AwsService, handlersOf } from "../../service.ts";
import { validateLambda } from "./constraints.ts";
import { bodyTooLarge, internalError, lambdaErrors, malformedBody, translate } from "./errors.ts";
import { invokeHandler, maxPayloadBytes } from "./invoke.ts";
import type { LambdaDeps } from "./ports.ts";
import { readHandlers } from "./read-handlers.ts";
import { tagHandlers } from "./tag-handlers.ts";
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
			...writeHandlers(deps.functions),
			...readHandlers(deps),
			...tagHandlers(deps.functions),
		}),
		rawHandlers: { Invoke: invokeHandler(deps.dispatcher, deps.functions) },
		maxBodyBytes: { Invoke: maxPayloadBytes, CreateFunction: maxCodeBytes, UpdateFunctionCode: maxCodeBytes },
		errors: lambdaErrors,
		internalError,
		translate,
		malformedBody,
		bodyTooLarge,
		validate: validateLambda,
	};
}
