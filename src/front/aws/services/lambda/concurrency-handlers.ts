import type * as sdk from "@aws-sdk/client-lambda";
import type { Handlers } from "../../service.ts";
import { parseFunctionName, parseUnqualified } from "./function-name.ts";
import { pageOf } from "./paging.ts";
import type { LambdaDeps, ProvisionedView } from "./ports.ts";

type Deps = Pick<LambdaDeps, "functions" | "concurrency">;

export function concurrencyHandlers(deps: Deps): Handlers<typeof sdk> {
	return { ...reservedHandlers(deps), ...provisionedHandlers(deps) };
}

function reservedHandlers({ functions, concurrency }: Deps): Handlers<typeof sdk> {
	return {
		async PutFunctionConcurrency(input, call) {
			const executions = input.ReservedConcurrentExecutions;
			await concurrency.reserve(parseUnqualified(input.FunctionName, call).name, executions);
			return { ReservedConcurrentExecutions: executions };
		},

		GetFunctionConcurrency(input, call) {
			const { reservedConcurrency } = functions.get(parseUnqualified(input.FunctionName, call).name);
			return reservedConcurrency === undefined ? {} : { ReservedConcurrentExecutions: reservedConcurrency };
		},

		async DeleteFunctionConcurrency(input, call) {
			await concurrency.unreserve(parseUnqualified(input.FunctionName, call).name);
			return {};
		},
	};
}

function provisionedHandlers({ concurrency }: Deps): Handlers<typeof sdk> {
	return {
		async PutProvisionedConcurrencyConfig(input, call) {
			const { name } = parseFunctionName(input.FunctionName, input.Qualifier, call);
			const view = await concurrency.provision(name, input.Qualifier, input.ProvisionedConcurrentExecutions);
			return provisionedConfiguration(view);
		},

		GetProvisionedConcurrencyConfig(input, call) {
			const { name } = parseFunctionName(input.FunctionName, input.Qualifier, call);
			return provisionedConfiguration(concurrency.provisioned(name, input.Qualifier));
		},

		async DeleteProvisionedConcurrencyConfig(input, call) {
			const { name } = parseFunctionName(input.FunctionName, input.Qualifier, call);
			await concurrency.unprovision(name, input.Qualifier);
			return {};
		},

		ListProvisionedConcurrencyConfigs(input, call) {
			const { name, arn } = parseUnqualified(input.FunctionName, call);
			const { page, ...marker } = pageOf(concurrency.listProvisioned(name), input, (item) => item.qualifier);
			const configs = page.map(({ qualifier, view }) => ({
				FunctionArn: `${arn}:${qualifier}`,
				...provisionedConfiguration(view),
			}));
			return { ProvisionedConcurrencyConfigs: configs, ...marker };
		},
	};
}

function provisionedConfiguration(view: ProvisionedView) {
	return {
		RequestedProvisionedConcurrentExecutions: view.requested,
		AvailableProvisionedConcurrentExecutions: view.available,
		AllocatedProvisionedConcurrentExecutions: view.allocated,
		Status: view.status,
		...(view.statusReason !== undefined && { StatusReason: view.statusReason }),
		// Whole seconds (API_GetProvisionedConcurrencyConfig's example).
		LastModified: `${new Date(view.lastModifiedMs).toISOString().slice(0, 19)}+0000`,
	};
}
