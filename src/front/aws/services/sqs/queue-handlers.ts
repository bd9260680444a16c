import type * as sdk from "@aws-sdk/client-sqs";
import {
	countedAttributes,
	isAttributeName,
	shownSettings,
	unknownAttribute,
} from "../../../../core/queue/queue-attributes.ts";
import { invalidValue } from "../../../../core/queue/queue-error.ts";
import { noSuchQueue } from "../../../../core/queue/queue-name.ts";
import type { Queue } from "../../../../engine/queues/types.ts";
import type { Call } from "../../service.ts";
import type { SqsDeps, SqsHandlers } from "./ports.ts";

const maxResults = 1000;

export function queueHandlers(deps: SqsDeps): SqsHandlers {
	const { queues } = deps;
	const nameOf = ({ QueueUrl }: { QueueUrl: string }) => queues.nameOfUrl(QueueUrl);
	return {
		async CreateQueue(input, call) {
			const queue = await queues.create(input.QueueName, input.Attributes as Attributes, input.tags);
			return { QueueUrl: queues.url(queue.name, call.host, call.isTls) };
		},
		GetQueueUrl(input, call) {
			if (input.QueueOwnerAWSAccountId !== undefined && input.QueueOwnerAWSAccountId !== call.accountId)
				throw noSuchQueue();
			return { QueueUrl: queues.url(queues.get(input.QueueName).name, call.host, call.isTls) };
		},
		ListQueues(input, call) {
			const { page, next } = paged(queues.list(input.QueueNamePrefix), input);
			return { ...(page.length > 0 && { QueueUrls: urls(deps, page, call) }), NextToken: next };
		},
		ListDeadLetterSourceQueues(input, call) {
			const { page, next } = paged(queues.deadLetterSources(nameOf(input)), input);
			return { queueUrls: urls(deps, page, call), NextToken: next };
		},
		async DeleteQueue(input) {
			await queues.delete(nameOf(input));
			return {};
		},
		async PurgeQueue(input) {
			await queues.purge(nameOf(input));
			return {};
		},
		GetQueueAttributes: (input) => attributes(deps, nameOf(input), input.AttributeNames ?? []),
		async SetQueueAttributes(input) {
			await queues.setAttributes(nameOf(input), input.Attributes as Record<string, string>);
			return {};
		},
		ListQueueTags(input) {
			const { tags } = queues.get(nameOf(input));
			return Object.keys(tags).length > 0 ? { Tags: { ...tags } } : {};
		},
		async TagQueue(input) {
			await queues.tag(nameOf(input), input.Tags);
			return {};
		},
		async UntagQueue(input) {
			await queues.untag(nameOf(input), input.TagKeys);
			return {};
		},
		async AddPermission(input) {
			const { Label: label, AWSAccountIds: accountIds, Actions: actions } = input;
			await queues.addPermission(nameOf(input), { label, accountIds, actions });
			return {};
		},
		async RemovePermission(input) {
			await queues.removePermission(nameOf(input), input.Label);
			return {};
		},
	};
}

type Attributes = Record<string, string> | undefined;

function urls({ queues }: SqsDeps, page: readonly Queue[], call: Call): string[] {
	return page.map(({ name }) => queues.url(name, call.host, call.isTls));
}

interface Page {
	NextToken?: string | undefined;
	MaxResults?: number | undefined;
}

/** "You must set MaxResults to receive a value for NextToken in the response." The token is the last name, in base64. */
function paged(all: readonly Queue[], { NextToken: token, MaxResults: max }: Page) {
	if (max !== undefined && !(Number.isSafeInteger(max) && max >= 1 && max <= maxResults))
		throw invalidValue(max, "MaxResults", `MaxResults must be an integer between 1 and ${maxResults}.`);
	const after = token === undefined ? "" : Buffer.from(token, "base64").toString();
	if (token !== undefined && !/^[\w.-]{1,80}$/.test(after))
		throw invalidValue(token, "NextToken", "Invalid or expired next token.");
	const rest = all.filter(({ name }) => name > after);
	const page = rest.slice(0, max ?? maxResults);
	const last = max !== undefined && rest.length > page.length ? page.at(-1) : undefined;
	return { page, next: last && Buffer.from(last.name).toString("base64") };
}

async function attributes(
	{ queues }: SqsDeps,
	name: string,
	names: readonly string[],
): Promise<sdk.GetQueueAttributesResult> {
	const queue = queues.get(name);
	const unknown = names.find((one) => one !== "All" && !isAttributeName(one));
	if (unknown !== undefined) throw unknownAttribute(unknown);
	const wanted = (one: string) => names.includes("All") || names.includes(one);
	const all: Record<string, string> = {
		QueueArn: queue.arn,
		...(countedAttributes.some(wanted) && (await counted(queues, name))),
		CreatedTimestamp: String(Math.floor(queue.createdMs / 1000)),
		LastModifiedTimestamp: String(Math.floor(queue.modifiedMs / 1000)),
		...(queue.fifo && { FifoQueue: "true" }),
		...shownSettings(queue.settings, queue.fifo),
	};
	const shown = Object.entries(all).filter(([one]) => wanted(one));
	return shown.length > 0 ? { Attributes: Object.fromEntries(shown) } : {};
}

async function counted(
	queues: SqsDeps["queues"],
	name: string,
): Promise<Record<(typeof countedAttributes)[number], string>> {
	const { visible, inFlight, delayed } = await queues.counts(name);
	return {
		ApproximateNumberOfMessages: String(visible),
		ApproximateNumberOfMessagesNotVisible: String(inFlight),
		ApproximateNumberOfMessagesDelayed: String(delayed),
	};
}
