/** The parts of the engine that the Lambda API needs; engine/functions.ts and engine/dispatch.ts fit as they are. */
import type { FunctionRecord } from "../../../../core/function/function.ts";
import type { InvocationRequest, InvocationResult } from "../../../../core/invocation/invocation.ts";
import type { CreateFunctionInput, UpdateCodeInput, UpdateConfigurationInput } from "../../../../engine/functions.ts";

export interface LambdaFunctions {
	create(input: CreateFunctionInput): Promise<FunctionRecord>;
	get(name: string): FunctionRecord;
	list(page: { after?: string; limit: number }): FunctionRecord[];
	updateCode(name: string, input: UpdateCodeInput): Promise<FunctionRecord>;
	updateConfiguration(name: string, input: UpdateConfigurationInput): Promise<FunctionRecord>;
	delete(name: string): Promise<void>;
	tag(name: string, tags: Record<string, string>): Promise<void>;
	untag(name: string, keys: readonly string[]): Promise<void>;
	readonly count: number;
	/** Bytes of all functions' code. */
	readonly codeBytes: number;
}

export interface LambdaDispatcher {
	invoke(functionName: string, request: InvocationRequest): Promise<InvocationResult>;
}

export interface LambdaDeps {
	functions: LambdaFunctions;
	dispatcher: LambdaDispatcher;
	/** Invocations at one time that the dispatcher allows, for GetAccountSettings. */
	accountConcurrency: number;
}
