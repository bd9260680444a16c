/** https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html ("Queue tags"). */
import { invalidParameter } from "./queue-error.ts";

const maxTags = 50;
const maxKeyLength = 128;
const maxValueLength = 256;

/** `added` over `tags`. Throws InvalidParameterValue. */
export function checkTags(
	tags: Readonly<Record<string, string>>,
	added: Readonly<Record<string, string>>,
): Record<string, string> {
	for (const [key, value] of Object.entries(added)) {
		if (/^aws:/i.test(key))
			throw invalidParameter("The request must not contain tag keys that begin with aws:, which is reserved");
		if (key === "" || key.length > maxKeyLength)
			throw invalidParameter(`Tag keys must be between 1 and ${maxKeyLength} characters in length.`);
		if (value.length > maxValueLength)
			throw invalidParameter(`Tag values must be between 0 and ${maxValueLength} characters in length.`);
	}
	const merged = Object.fromEntries([...Object.entries(tags), ...Object.entries(added)]);
	if (Object.keys(merged).length > maxTags)
		throw invalidParameter(`Too many tags added for queue: it can have at most ${maxTags} tags.`);
	return merged;
}
