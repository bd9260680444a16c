/** AddPermission and RemovePermission write statements into a queue's policy, which is kept and not evaluated. */
import { invalidValue } from "./queue-error.ts";

export interface Permission {
	label: string;
	/** Of accounts. */
	accountIds: readonly string[];
	/** "SendMessage", "*", … */
	actions: readonly string[];
}

const maxActions = 7;
const maxLabelLength = 80;
const actionNames = [
	"*",
	"SendMessage",
	"ReceiveMessage",
	"DeleteMessage",
	"ChangeMessageVisibility",
	"GetQueueAttributes",
	"GetQueueUrl",
	"ListDeadLetterSourceQueues",
	"PurgeQueue",
];

interface Policy {
	Version?: string;
	Id?: string;
	Statement?: unknown;
}

/** Throws InvalidParameterValue. */
export function withPermission(
	policy: string | undefined,
	{ label, accountIds, actions }: Permission,
	arn: string,
): string {
	if (!/^[A-Za-z0-9_-]+$/.test(label) || label.length > maxLabelLength)
		throw invalidValue(
			label,
			"Label",
			`Must be 1 to ${maxLabelLength} alphanumeric characters, hyphens, or underscores.`,
		);
	for (const action of actions)
		if (!actionNames.includes(action))
			throw invalidValue(
				`SQS:${action}`,
				"ActionName",
				`Only the queue owner is allowed to invoke this action, or there is none of that name.`,
			);
	if (actions.length === 0 || actions.length > maxActions)
		throw invalidValue(actions, "ActionName", `Must be 1 to ${maxActions} actions.`);
	const bad = accountIds.find((id) => !/^\d{12}$/.test(id));
	if (accountIds.length === 0 || bad !== undefined)
		throw invalidValue(bad ?? accountIds, "PrincipalId", "Unable to verify.");
	const { parsed, statements } = read(policy);
	if (statements.some((one) => sidOf(one) === label)) throw invalidValue(label, "Label", "Already exists.");
	const principals = accountIds.map((id) => `arn:aws:iam::${id}:root`);
	const sqsActions = actions.map((action) => `SQS:${action}`);
	const statement = {
		Sid: label,
		Effect: "Allow",
		Principal: { AWS: principals.length === 1 ? principals[0] : principals },
		Action: sqsActions.length === 1 ? sqsActions[0] : sqsActions,
		Resource: arn,
	};
	return JSON.stringify({
		Version: "2012-10-17",
		Id: `${arn}/SQSDefaultPolicy`,
		...parsed,
		Statement: [...statements, statement],
	});
}

/** Undefined when it was the last statement. */
export function withoutPermission(policy: string | undefined, label: string): string | undefined {
	const { parsed, statements } = read(policy);
	const left = statements.filter((one) => sidOf(one) !== label);
	if (left.length === statements.length) throw invalidValue(label, "Label", "can't find label on existing policy.");
	return left.length === 0 ? undefined : JSON.stringify({ ...parsed, Statement: left });
}

function read(policy: string | undefined): { parsed: Policy; statements: unknown[] } {
	const parsed = policy === undefined ? {} : (JSON.parse(policy) as Policy);
	const { Statement: statement } = parsed;
	return { parsed, statements: Array.isArray(statement) ? statement : statement === undefined ? [] : [statement] };
}

function sidOf(statement: unknown): unknown {
	return (statement as { Sid?: unknown } | null)?.Sid;
}
