/** What the code inside of functions may do with the keys it finds in its environment: use what is there, not change it. */
import type { Principal } from "./service.ts";

const allowed: Readonly<Record<string, RegExp>> = {
	lambda: /^Invoke/,
	sqs: /^(SendMessage|ReceiveMessage|DeleteMessage|ChangeMessageVisibility)(Batch)?$|^GetQueue(Url|Attributes)$/,
	events: /^PutEvents$/,
	logs: /^(PutLogEvents|CreateLogStream|DescribeLogStreams)$/,
	sts: /^GetCallerIdentity$/,
};

/** The reason for an AccessDeniedException in AWS's words; undefined when the operation is allowed. */
export function sessionRefusal(principal: Principal, service: string, operation: string): string | undefined {
	if (!principal.isSession || allowed[service]?.test(operation)) return undefined;
	const action = `${service}:${operation}`;
	return `User: ${principal.arn} is not authorized to perform: ${action} because no identity-based policy allows the ${action} action. Functions may invoke functions, use queues and put events; use the installation's keys (slipway env) for all else.`;
}
