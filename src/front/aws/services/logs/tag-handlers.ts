import { AwsError } from "../../errors.ts";
import type { LogsDeps, LogsHandlers } from "./ports.ts";
import { groupOfArn, inAwsWords, invalidParameter } from "./wire.ts";

/** TagResource: "You can associate as many as 50 tags with a CloudWatch Logs resource". */
const maxTags = 50;
const maxKeyLength = 128;
const maxValueLength = 256;

type Tags = Readonly<Record<string, string>>;

/** By ARN, and by name as the older operations have it. */
export function tagHandlers({ logs }: LogsDeps): LogsHandlers {
	const tagsOf = async (group: string) => (await inAwsWords("log group", logs.describeGroup(group))).tags;
	let last: Promise<unknown> = Promise.resolve();
	/** One after the other: of two that read the same tags and write theirs, the first would be lost. */
	const change = (group: string, changed: (tags: Tags) => Tags) => {
		const work = async () => {
			await logs.updateGroup(group, { tags: changed(await tagsOf(group)) });
			return {};
		};
		const done = last.then(work);
		last = done.catch(() => undefined);
		return done;
	};
	const tag = (group: string, added: Tags) => change(group, (tags) => checkedTags(tags, added));
	const untag = (group: string, keys: readonly string[]) =>
		change(group, (tags) => Object.fromEntries(Object.entries(tags).filter(([key]) => !keys.includes(key))));
	return {
		ListTagsForResource: async (input, call) => ({ tags: { ...(await tagsOf(groupOfArn(input.resourceArn, call))) } }),
		TagResource: (input, call) => tag(groupOfArn(input.resourceArn, call), input.tags),
		UntagResource: (input, call) => untag(groupOfArn(input.resourceArn, call), input.tagKeys),
		ListTagsLogGroup: async (input) => ({ tags: { ...(await tagsOf(input.logGroupName)) } }),
		TagLogGroup: (input) => tag(input.logGroupName, input.tags),
		UntagLogGroup: (input) => untag(input.logGroupName, input.tags),
	};
}

export function checkedTags(tags: Tags, added: Tags): Record<string, string> {
	for (const [key, value] of Object.entries(added))
		if (key === "" || key.length > maxKeyLength || value.length > maxValueLength || /^aws:/i.test(key))
			throw invalidParameter(
				`The tag '${key.slice(0, maxKeyLength)}' is invalid: a key has 1 to ${maxKeyLength} characters and does not begin with aws:, a value has at most ${maxValueLength}`,
			);
	const merged = Object.fromEntries([...Object.entries(tags), ...Object.entries(added)]);
	if (Object.keys(merged).length > maxTags)
		throw new AwsError("TooManyTagsException", 400, `A resource can have no more than ${maxTags} tags.`);
	return merged;
}
