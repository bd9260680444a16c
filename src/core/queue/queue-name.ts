/** Names, ARNs and URLs of queues (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-message-identifiers.html). */
import { invalidParameter, queueError } from "./queue-error.ts";

const standardName = /^[A-Za-z0-9_-]{1,80}$/;
const fifoName = /^(?=.{6,80}$)[A-Za-z0-9_-]+\.fifo$/;
const maxNameLength = 80;

export const fifoSuffix = ".fifo";

export function isFifoName(name: string): boolean {
	return name.endsWith(fifoSuffix);
}

/** Throws InvalidParameterValue. */
export function checkQueueName(name: string, fifo: boolean): void {
	if (fifo && !fifoName.test(name))
		throw invalidParameter(
			`The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to ${maxNameLength} in length.`,
		);
	if (!fifo && !standardName.test(name))
		throw invalidParameter(
			`Can only include alphanumeric characters, hyphens, or underscores. 1 to ${maxNameLength} in length`,
		);
}

/** Where a queue is: whose names and numbers its ARN has. */
export interface QueuePlace {
	region: string;
	/** 12 digits. */
	accountId: string;
}

export function queueArn(name: string, { region, accountId }: QueuePlace): string {
	return `arn:aws:sqs:${region}:${accountId}:${name}`;
}

const arnForm = /^arn:aws[a-z-]*:sqs:([a-z0-9-]+):(\d{12}):([A-Za-z0-9_.-]{1,80})$/;

/** The name that an ARN of this place has; undefined for anything else. */
export function nameOfArn(arn: string, { region, accountId }: QueuePlace): string | undefined {
	const [, itsRegion, itsAccount, name] = arnForm.exec(arn) ?? [];
	return itsRegion === region && itsAccount === accountId ? name : undefined;
}

export function isQueueArn(arn: string): boolean {
	return arn.length <= 512 && arnForm.test(arn);
}

const pathForm = /^\/(\d{12})\/([A-Za-z0-9_.-]{1,80})\/?$/;

/** The account and name of a queue URL's path; undefined for another path. */
export function queueOfPath(path: string): { accountId: string; name: string } | undefined {
	const [, accountId, name] = pathForm.exec(path) ?? [];
	return accountId === undefined || name === undefined ? undefined : { accountId, name };
}

/** The name in a queue URL, whatever host it has: one daemon is called by many. A bare name is taken too, as AWS does. */
export function nameOfUrl(url: string, accountId: string): string {
	const afterScheme = /^https?:\/\/[^/]*/i.exec(url);
	const path = afterScheme ? url.slice(afterScheme[0].length) : url;
	const found = queueOfPath(path);
	if (found?.accountId === accountId) return found.name;
	if (found) throw noSuchQueue();
	if (!url.includes("/") && (standardName.test(url) || fifoName.test(url))) return url;
	throw queueError("InvalidAddress", `The address ${url.slice(0, 200)} is not valid for this endpoint.`);
}

export function noSuchQueue() {
	return queueError("QueueDoesNotExist", "The specified queue does not exist.");
}

const lanePrefix = "sqs/";
export const queueLanes = lanePrefix;

export function laneOf(name: string): string {
	return lanePrefix + name;
}

export function nameOfLane(lane: string): string | undefined {
	return lane.startsWith(lanePrefix) ? lane.slice(lanePrefix.length) : undefined;
}
