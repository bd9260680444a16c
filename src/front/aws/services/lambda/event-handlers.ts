/** What asynchronous invocation and event sources would configure: reads answer "none", writes are refused by name. */
import type * as sdk from "@aws-sdk/client-lambda";
import { SlipwayError } from "../../../../base/error.ts";
import type { Call, Handlers } from "../../service.ts";
import { invalidParameter, notFoundError, parseFunctionName } from "./function-name.ts";
import type { LambdaDeps } from "./ports.ts";
import { orElse, resolve } from "./qualifiers.ts";

type Deps = Pick<LambdaDeps, "functions" | "versions">;

interface Addressed {
	FunctionName: string;
	Qualifier?: string | undefined;
}

interface EventInvokeSettings extends Addressed {
	MaximumRetryAttempts?: number | undefined;
	MaximumEventAgeInSeconds?: number | undefined;
	DestinationConfig?: sdk.DestinationConfig | undefined;
}

const noFunction = () => notFoundError("The function doesn't exist.");

export function eventHandlers(deps: Deps): Handlers<typeof sdk> {
	const { functions } = deps;
	// Asked of a function that is not there, they say the same.
	const none = (input: Addressed, call: Call) => {
		const { arn, qualifier } = parseFunctionName(input.FunctionName, input.Qualifier, call);
		return notFoundError(`The function ${arn}:${qualifier ?? "$LATEST"} doesn't have an EventInvokeConfig`);
	};
	return {
		GetFunctionEventInvokeConfig(input, call) {
			throw none(input, call);
		},
		DeleteFunctionEventInvokeConfig(input, call) {
			throw none(input, call);
		},
		ListFunctionEventInvokeConfigs(input, call) {
			const { name } = parseFunctionName(input.FunctionName, undefined, call);
			orElse(noFunction, () => functions.get(name));
			return { FunctionEventInvokeConfigs: [] };
		},
		PutFunctionEventInvokeConfig(input, call) {
			checkSettings(deps, input, call);
			throw unsupported("PutFunctionEventInvokeConfig");
		},
		UpdateFunctionEventInvokeConfig(input, call) {
			checkSettings(deps, input, call);
			throw none(input, call);
		},
		InvokeAsync() {
			throw unsupported("InvokeAsync, which is deprecated", " Use Invoke.");
		},
		ListEventSourceMappings: () => ({ EventSourceMappings: [] }),
		CreateEventSourceMapping() {
			throw new SlipwayError("UNSUPPORTED", "Slipway does not support event source mappings yet: nothing was created.");
		},
		GetEventSourceMapping: refuseMapping,
		UpdateEventSourceMapping: refuseMapping,
		DeleteEventSourceMapping: refuseMapping,
	};
}

function checkSettings(deps: Deps, input: EventInvokeSettings, call: Call): void {
	const target = parseFunctionName(input.FunctionName, input.Qualifier, call);
	resolve(deps, target, noFunction);
	const { MaximumRetryAttempts, MaximumEventAgeInSeconds, DestinationConfig } = input;
	if ([MaximumRetryAttempts, MaximumEventAgeInSeconds, DestinationConfig].every((item) => item === undefined))
		throw invalidParameter("You must specify at least one of error handling or destination setting.");
}

function refuseMapping(): never {
	throw notFoundError("The resource you requested does not exist.");
}

function unsupported(operation: string, hint = ""): SlipwayError {
	return new SlipwayError(
		"UNSUPPORTED",
		`Slipway does not support ${operation}: asynchronous invocation is not there yet, and nothing was changed.${hint}`,
	);
}
