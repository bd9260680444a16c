import type * as sdk from "@aws-sdk/client-eventbridge";
import { ruleArn } from "../../../../engine/bus/names.ts";
import type { RuleRecord } from "../../../../engine/bus/types.ts";
import type { EventBridgeDeps, EventBridgeHandlers } from "./ports.ts";
import { targetRecord, wireTarget } from "./target-wire.ts";
import { busOf, invalid, pageOf, tagsOf } from "./wire.ts";

export function ruleHandlers(deps: EventBridgeDeps): EventBridgeHandlers {
	const { bus } = deps;
	return {
		PutRule: async (input) => {
			const { Name: name, EventPattern, ScheduleExpression, State: state, Description, RoleArn, Tags } = input;
			const rule = {
				// The console and the CLI send "" for none.
				eventPattern: EventPattern === "" ? undefined : EventPattern,
				scheduleExpression: ScheduleExpression === "" ? undefined : ScheduleExpression,
				enabled: state !== "DISABLED",
				description: Description,
				roleArn: RoleArn,
			};
			const record = await bus.putRule(busOf(deps, input), name, rule, tagsOf(Tags));
			return { RuleArn: ruleArn(deps, record.bus, name) };
		},
		DeleteRule: async (input) => {
			await bus.deleteRule(busOf(deps, input), input.Name);
			return {};
		},
		DescribeRule: (input) => wireRule(deps, bus.describeRule(busOf(deps, input), input.Name)),
		ListRules: (input) => {
			const { NamePrefix: prefix = "" } = input;
			const all = bus.listRules(busOf(deps, input)).filter(({ name }) => name.startsWith(prefix));
			const { items, next } = pageOf(all, ({ name }) => name, input);
			return { Rules: items.map((record) => wireRule(deps, record)), ...next };
		},
		EnableRule: async (input) => {
			await bus.setRuleEnabled(busOf(deps, input), input.Name, true);
			return {};
		},
		DisableRule: async (input) => {
			await bus.setRuleEnabled(busOf(deps, input), input.Name, false);
			return {};
		},
		ListRuleNamesByTarget: (input) => {
			const all = bus
				.listRules(busOf(deps, input))
				.filter(({ targets }) => targets.some(({ arn }) => arn === input.TargetArn))
				.map(({ name }) => name);
			const { items, next } = pageOf(all, (name) => name, input);
			return { RuleNames: items, ...next };
		},
		...targetHandlers(deps),
	};
}

function targetHandlers(deps: EventBridgeDeps): EventBridgeHandlers {
	const { bus } = deps;
	return {
		PutTargets: async (input) => {
			const ids = input.Targets.map(({ Id }) => Id);
			if (new Set(ids).size < ids.length)
				throw invalid("Parameter Targets is not valid. Reason: two targets have the same Id.");
			const name = busOf(deps, input);
			bus.describeRule(name, input.Rule);
			await bus.putTargets(name, input.Rule, input.Targets.map(targetRecord));
			return { FailedEntryCount: 0, FailedEntries: [] };
		},
		RemoveTargets: async (input) => {
			const unknown = await bus.removeTargets(busOf(deps, input), input.Rule, input.Ids);
			const failed = unknown.map((TargetId) => ({
				TargetId,
				ErrorCode: "ResourceNotFoundException",
				ErrorMessage: `Rule ${input.Rule} does not have a target with the Id ${TargetId}.`,
			}));
			return { FailedEntryCount: failed.length, FailedEntries: failed };
		},
		ListTargetsByRule: (input) => {
			const { targets } = bus.describeRule(busOf(deps, input), input.Rule);
			const { items, next } = pageOf(targets, ({ id }) => id, input);
			return { Targets: items.map(wireTarget), ...next };
		},
	};
}

function wireRule(deps: EventBridgeDeps, record: RuleRecord): sdk.Rule & { CreatedBy?: string } {
	return {
		Name: record.name,
		Arn: ruleArn(deps, record.bus, record.name),
		EventPattern: record.eventPattern,
		ScheduleExpression: record.scheduleExpression,
		State: record.enabled ? "ENABLED" : "DISABLED",
		Description: record.description,
		RoleArn: record.roleArn,
		EventBusName: record.bus,
	};
}
