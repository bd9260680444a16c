/** A queue's settings as users write them (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html). */
import { invalidParameter, queueError } from "./queue-error.ts";
import {
	type RedriveAllowPolicy,
	type RedrivePolicy,
	readRedriveAllowPolicy,
	readRedrivePolicy,
	redrivePolicyText,
} from "./redrive-policy.ts";

export interface QueueSettings {
	/** Seconds, 0 to 900. */
	delayS: number;
	/** Bytes of a message with its attributes, 1,024 to 1,048,576. */
	maximumMessageSize: number;
	/** Seconds, 60 to 1,209,600. */
	retentionS: number;
	/** Seconds, 0 to 20. */
	receiveWaitS: number;
	/** Seconds, 0 to 43,200. */
	visibilityTimeoutS: number;
	redrivePolicy?: RedrivePolicy;
	redriveAllowPolicy?: RedriveAllowPolicy;
	/** JSON, as it was given: stored, not evaluated. */
	policy?: string;
	kmsMasterKeyId?: string;
	/** Seconds. */
	kmsDataKeyReuseS: number;
	/** Stored; bytes on the disk are not encrypted by it. */
	managedSse: boolean;
	/** FIFO queues only. */
	contentBasedDeduplication: boolean;
	deduplicationScope: "queue" | "messageGroup";
	fifoThroughputLimit: "perQueue" | "perMessageGroupId";
}

/** The longest message, bytes: SQS's since August 2025. */
export const maxMessageBytes = 1_048_576;
/** Seconds: 12 hours. */
export const maxVisibilityS = 43_200;
export const maxDelayS = 900;
export const maxWaitS = 20;

export const defaultSettings: QueueSettings = {
	delayS: 0,
	maximumMessageSize: maxMessageBytes,
	retentionS: 345_600,
	receiveWaitS: 0,
	visibilityTimeoutS: 30,
	kmsDataKeyReuseS: 300,
	managedSse: true,
	contentBasedDeduplication: false,
	deduplicationScope: "queue",
	fifoThroughputLimit: "perQueue",
};

interface Attribute {
	fifoOnly?: boolean;
	/** Throws when the value is not one of its. "" has been dealt with where `optional`. */
	read(value: string): Partial<QueueSettings>;
	/** Of settings; undefined when it is not set. */
	show(settings: QueueSettings): string | undefined;
	/** An empty value takes the setting away. */
	optional?: keyof QueueSettings;
}

type NumberKey =
	| "delayS"
	| "maximumMessageSize"
	| "retentionS"
	| "receiveWaitS"
	| "visibilityTimeoutS"
	| "kmsDataKeyReuseS";

function number(name: string, key: NumberKey, min: number, max: number): Attribute {
	return {
		read(value) {
			const parsed = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
			if (!(parsed >= min && parsed <= max)) throw badValue(name);
			return { [key]: parsed };
		},
		show: (settings) => String(settings[key]),
	};
}

function flag(name: string, key: "managedSse" | "contentBasedDeduplication", fifoOnly = false): Attribute {
	return {
		fifoOnly,
		read(value) {
			if (!/^(true|false)$/i.test(value)) throw badValue(name);
			return { [key]: value.toLowerCase() === "true" };
		},
		show: (settings) => String(settings[key]),
	};
}

function choice(name: string, key: "deduplicationScope" | "fifoThroughputLimit", values: readonly string[]): Attribute {
	return {
		fifoOnly: true,
		read(value) {
			if (!values.includes(value)) throw badValue(name);
			return { [key]: value } as Partial<QueueSettings>;
		},
		show: (settings) => settings[key],
	};
}

/** Bytes of a policy: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html names no size; IAM's largest resource policy is 20 KiB. */
const maxPolicyLength = 20_480;
const maxKeyIdLength = 2048;

const table: Readonly<Record<string, Attribute>> = {
	DelaySeconds: number("DelaySeconds", "delayS", 0, maxDelayS),
	MaximumMessageSize: number("MaximumMessageSize", "maximumMessageSize", 1024, maxMessageBytes),
	MessageRetentionPeriod: number("MessageRetentionPeriod", "retentionS", 60, 1_209_600),
	ReceiveMessageWaitTimeSeconds: number("ReceiveMessageWaitTimeSeconds", "receiveWaitS", 0, maxWaitS),
	VisibilityTimeout: number("VisibilityTimeout", "visibilityTimeoutS", 0, maxVisibilityS),
	KmsDataKeyReusePeriodSeconds: number("KmsDataKeyReusePeriodSeconds", "kmsDataKeyReuseS", 60, 86_400),
	SqsManagedSseEnabled: flag("SqsManagedSseEnabled", "managedSse"),
	ContentBasedDeduplication: flag("ContentBasedDeduplication", "contentBasedDeduplication", true),
	DeduplicationScope: choice("DeduplicationScope", "deduplicationScope", ["queue", "messageGroup"]),
	FifoThroughputLimit: choice("FifoThroughputLimit", "fifoThroughputLimit", ["perQueue", "perMessageGroupId"]),
	RedrivePolicy: {
		optional: "redrivePolicy",
		read: (value) => ({ redrivePolicy: readRedrivePolicy(value) }),
		show: ({ redrivePolicy }) => redrivePolicy && redrivePolicyText(redrivePolicy),
	},
	RedriveAllowPolicy: {
		optional: "redriveAllowPolicy",
		read: (value) => ({ redriveAllowPolicy: readRedriveAllowPolicy(value) }),
		show: ({ redriveAllowPolicy }) => redriveAllowPolicy && JSON.stringify(redriveAllowPolicy),
	},
	Policy: {
		optional: "policy",
		read(value) {
			if (value.length > maxPolicyLength || !isJsonObject(value)) throw badValue("Policy");
			return { policy: value };
		},
		show: ({ policy }) => policy,
	},
	KmsMasterKeyId: {
		optional: "kmsMasterKeyId",
		read(value) {
			if (value.length > maxKeyIdLength) throw badValue("KmsMasterKeyId");
			return { kmsMasterKeyId: value, managedSse: false };
		},
		show: ({ kmsMasterKeyId }) => kmsMasterKeyId,
	},
};

/** Names that are asked of the log, of the record, or of the name. */
export const countedAttributes = [
	"ApproximateNumberOfMessages",
	"ApproximateNumberOfMessagesNotVisible",
	"ApproximateNumberOfMessagesDelayed",
] as const;
const recordAttributes = ["QueueArn", "CreatedTimestamp", "LastModifiedTimestamp", "FifoQueue"];

export function isAttributeName(name: string): boolean {
	return Object.hasOwn(table, name) || recordAttributes.includes(name) || countedAttributes.some((one) => one === name);
}

/** `attributes` over `settings`. Throws InvalidAttributeName or InvalidAttributeValue. */
export function changedSettings(
	settings: QueueSettings,
	attributes: Readonly<Record<string, string>>,
	fifo: boolean,
): QueueSettings {
	let result = settings;
	for (const [name, value] of Object.entries(attributes)) {
		const attribute = Object.hasOwn(table, name) ? table[name] : undefined;
		if (name === "FifoQueue" && fifo) {
			if (value.toLowerCase() !== "true") throw badValue("FifoQueue");
		} else if (!attribute || (attribute.fifoOnly && !fifo)) throw unknownAttribute(name);
		else if (attribute.optional && value === "") {
			const { [attribute.optional]: _, ...rest } = result;
			result = rest as QueueSettings;
		} else result = { ...result, ...attribute.read(value) };
	}
	if (result.fifoThroughputLimit === "perMessageGroupId" && result.deduplicationScope !== "messageGroup")
		throw invalidParameter(
			"The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup.",
		);
	return result;
}

/** Every attribute that is a setting, by name. */
export function shownSettings(settings: QueueSettings, fifo: boolean): Record<string, string> {
	const shown: Record<string, string> = {};
	for (const [name, attribute] of Object.entries(table)) {
		const value = attribute.fifoOnly && !fifo ? undefined : attribute.show(settings);
		// SQS names it with a key only.
		const hidden = name === "KmsDataKeyReusePeriodSeconds" && settings.kmsMasterKeyId === undefined;
		if (value !== undefined && !hidden) shown[name] = value;
	}
	return shown;
}

/** The first of these attributes in which two queues differ. */
export function differingAttribute(
	one: QueueSettings,
	other: QueueSettings,
	names: readonly string[],
): string | undefined {
	return names.find((name) => table[name] && table[name].show(one) !== table[name].show(other));
}

export function unknownAttribute(name: string) {
	return queueError("InvalidAttributeName", `Unknown Attribute ${name.slice(0, 200)}.`);
}

function badValue(name: string) {
	return queueError("InvalidAttributeValue", `Invalid value for the parameter ${name}.`);
}

function isJsonObject(text: string): boolean {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === "object" && value !== null && !Array.isArray(value);
	} catch {
		return false;
	}
}
