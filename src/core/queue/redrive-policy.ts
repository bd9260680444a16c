/** RedrivePolicy and RedriveAllowPolicy (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html). */
import { invalidValue } from "./queue-error.ts";
import { isQueueArn } from "./queue-name.ts";

/** After which receives a message goes to which queue. */
export interface RedrivePolicy {
	deadLetterTargetArn: string;
	/** 1 to 1,000. */
	maxReceiveCount: number;
}

/** Whose dead-letter queue this one may be. */
export interface RedriveAllowPolicy {
	redrivePermission: "allowAll" | "denyAll" | "byQueue";
	/** With byQueue only: 1 to 10. */
	sourceQueueArns?: string[];
}

const maxReceives = 1000;
const maxSourceArns = 10;

export function readRedrivePolicy(text: string): RedrivePolicy {
	const refuse = (why: string) => invalidValue(text, "RedrivePolicy", why);
	const { deadLetterTargetArn: arn, maxReceiveCount: count, ...others } = readObject(text, "RedrivePolicy");
	if (arn === undefined) throw refuse("Redrive policy does not contain mandatory attribute: deadLetterTargetArn.");
	if (count === undefined) throw refuse("Redrive policy does not contain mandatory attribute: maxReceiveCount.");
	const other = Object.keys(others)[0];
	if (other !== undefined) throw refuse(`Redrive policy contains an unknown attribute: ${other}.`);
	if (typeof arn !== "string" || !isQueueArn(arn))
		throw refuse(`Invalid value for deadLetterTargetArn: ${String(arn)}.`);
	const maxReceiveCount = wholeNumber(count);
	if (maxReceiveCount === undefined || maxReceiveCount < 1 || maxReceiveCount > maxReceives)
		throw refuse(
			`Invalid value for maxReceiveCount: ${String(count)}, valid values are from 1 to ${maxReceives} both inclusive.`,
		);
	return { deadLetterTargetArn: arn, maxReceiveCount };
}

export function readRedriveAllowPolicy(text: string): RedriveAllowPolicy {
	const refuse = (why: string) => invalidValue(text, "RedriveAllowPolicy", why);
	const { redrivePermission: permission, sourceQueueArns: arns, ...others } = readObject(text, "RedriveAllowPolicy");
	const other = Object.keys(others)[0];
	if (other !== undefined) throw refuse(`Redrive allow policy contains an unknown attribute: ${other}.`);
	if (permission !== "allowAll" && permission !== "denyAll" && permission !== "byQueue")
		throw refuse("redrivePermission must be one of allowAll, denyAll, byQueue.");
	if (permission !== "byQueue") {
		if (arns !== undefined) throw refuse("sourceQueueArns may only be given with redrivePermission byQueue.");
		return { redrivePermission: permission };
	}
	if (!Array.isArray(arns) || arns.length < 1 || arns.length > maxSourceArns)
		throw refuse(`sourceQueueArns must have 1 to ${maxSourceArns} ARNs with redrivePermission byQueue.`);
	const sourceQueueArns = arns.map((arn: unknown) => {
		if (typeof arn !== "string" || !isQueueArn(arn)) throw refuse(`Invalid ARN in sourceQueueArns: ${String(arn)}.`);
		return arn;
	});
	return { redrivePermission: permission, sourceQueueArns };
}

export function allowsSource(policy: RedriveAllowPolicy | undefined, sourceArn: string): boolean {
	if (policy === undefined || policy.redrivePermission === "allowAll") return true;
	return policy.sourceQueueArns?.includes(sourceArn) ?? false;
}

/** As AWS answers them. */
export function redrivePolicyText({ deadLetterTargetArn, maxReceiveCount }: RedrivePolicy): string {
	return JSON.stringify({ deadLetterTargetArn, maxReceiveCount });
}

function readObject(text: string, parameter: string): Record<string, unknown> {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		throw invalidValue(text, parameter, "Amazon SQS can't process the policy: it is not valid JSON.");
	}
	if (typeof value !== "object" || value === null || Array.isArray(value))
		throw invalidValue(text, parameter, "The policy is not a JSON object.");
	return value as Record<string, unknown>;
}

/** AWS takes "5" for 5. */
function wholeNumber(value: unknown): number | undefined {
	const number = typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : value;
	return typeof number === "number" && Number.isSafeInteger(number) ? number : undefined;
}
