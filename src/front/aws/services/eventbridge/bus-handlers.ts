import type * as sdk from "@aws-sdk/client-eventbridge";
import { busArn, busName } from "../../../../engine/bus/names.ts";
import type { EventBusRecord } from "../../../../engine/bus/types.ts";
import { AwsError } from "../../errors.ts";
import type { EventBridgeDeps, EventBridgeHandlers } from "./ports.ts";
import { busOf, invalid, pageOf, tagsOf } from "./wire.ts";

export function busHandlers(deps: EventBridgeDeps): EventBridgeHandlers {
	const { bus } = deps;
	return {
		CreateEventBus: async (input) => {
			const { Name: name, Description: description, KmsKeyIdentifier: kmsKeyIdentifier, Tags } = input;
			if (input.EventSourceName !== undefined)
				throw new AwsError(
					"OperationDisabledException",
					400,
					"Slipway has no partner event sources; leave EventSourceName out",
				);
			const deadLetterArn = input.DeadLetterConfig?.Arn;
			await bus.createBus({ name, description, kmsKeyIdentifier, deadLetterArn, tags: tagsOf(Tags) });
			return { EventBusArn: busArn(deps, name), ...settingsOf(bus.describeBus(name)) };
		},
		UpdateEventBus: async (input) => {
			const name = input.Name ?? "default";
			const record = await bus.updateBus(name, {
				description: input.Description,
				kmsKeyIdentifier: input.KmsKeyIdentifier,
				deadLetterArn: input.DeadLetterConfig?.Arn,
			});
			return { Name: name, Arn: busArn(deps, name), ...settingsOf(record) };
		},
		DeleteEventBus: async (input) => {
			await bus.deleteBus(input.Name);
			return {};
		},
		DescribeEventBus: (input) => {
			const record = bus.describeBus(busName(deps, input.Name));
			return { ...wireBus(deps, record), ...settingsOf(record) };
		},
		ListEventBuses: (input) => {
			const { NamePrefix: prefix = "" } = input;
			const all = bus.listBuses().filter(({ name }) => name.startsWith(prefix));
			const { items, next } = pageOf(all, ({ name }) => name, input);
			return { EventBuses: items.map((record) => wireBus(deps, record)), ...next };
		},
		PutPermission: async (input) => {
			const name = busOf(deps, input);
			const { policy } = bus.describeBus(name);
			const added = input.Policy === undefined ? statementOf(input, busArn(deps, name)) : statementsOf(input.Policy);
			await bus.updateBus(name, { policy: input.Policy === undefined ? { ...policy, ...added } : added });
			return {};
		},
		RemovePermission: async (input) => {
			const name = busOf(deps, input);
			const { policy } = bus.describeBus(name);
			const { StatementId: sid, RemoveAllPermissions: all } = input;
			if (!all && (sid === undefined || !Object.hasOwn(policy, sid)))
				throw new AwsError("ResourceNotFoundException", 400, "Statement with the provided id does not exist.");
			const left = Object.entries(policy).filter(([known]) => !all && known !== sid);
			await bus.updateBus(name, { policy: Object.fromEntries(left) });
			return {};
		},
	};
}

function settingsOf({ description, kmsKeyIdentifier, deadLetterArn }: EventBusRecord) {
	return {
		Description: description,
		KmsKeyIdentifier: kmsKeyIdentifier,
		...(deadLetterArn !== undefined && { DeadLetterConfig: { Arn: deadLetterArn } }),
	};
}

function wireBus(deps: EventBridgeDeps, record: EventBusRecord): sdk.EventBus {
	const statements = Object.values(record.policy);
	return {
		Name: record.name,
		Arn: busArn(deps, record.name),
		Description: record.description,
		CreationTime: new Date(record.createdMs),
		LastModifiedTime: new Date(record.modifiedMs),
		...(statements.length > 0 && { Policy: JSON.stringify({ Version: "2012-10-17", Statement: statements }) }),
	};
}

type Statements = Record<string, Record<string, unknown>>;

function statementOf(input: sdk.PutPermissionRequest, resource: string): Statements {
	const { StatementId: sid, Principal: principal, Action: action, Condition: condition } = input;
	if (sid === undefined || principal === undefined || action === undefined)
		throw invalid("Parameter(s) StatementId, Principal and Action must be specified, or Policy.");
	const statement = {
		Sid: sid,
		Effect: "Allow",
		Principal: principal === "*" ? "*" : { AWS: `arn:aws:iam::${principal}:root` },
		Action: action,
		Resource: resource,
		...(condition && { Condition: { [condition.Type ?? ""]: { [condition.Key ?? ""]: condition.Value } } }),
	};
	return { [sid]: statement };
}

/** Characters: AWS's bound of a bus's policy is 10 KB. */
const maxPolicyLength = 10_240;

function statementsOf(policy: string): Statements {
	const refusal = invalid(
		"Parameter Policy is not valid. Reason: it must be a policy document with statements that have a Sid.",
	);
	if (policy.length > maxPolicyLength)
		throw new AwsError(
			"PolicyLengthExceededException",
			400,
			`The policy is longer than ${maxPolicyLength} characters.`,
		);
	let document: unknown;
	try {
		document = JSON.parse(policy);
	} catch {
		throw refusal;
	}
	const { Statement: statement } = (document ?? {}) as { Statement?: unknown };
	const all: unknown[] = Array.isArray(statement) ? statement : [statement];
	const entries = all.map((one, index): [string, Record<string, unknown>] => {
		if (typeof one !== "object" || one === null || Array.isArray(one)) throw refusal;
		const { Sid: sid = `statement${index + 1}` } = one as { Sid?: unknown };
		if (typeof sid !== "string") throw refusal;
		return [sid, one as Record<string, unknown>];
	});
	return Object.fromEntries(entries);
}
