import type * as sdk from "@aws-sdk/client-lambda";
import { SlipwayError } from "../../../../base/error.ts";
import type { Call, Handlers } from "../../service.ts";
import type { EventSourceMappingOperations } from "./event-source-mapping-handlers.ts";
import { parseFunctionName } from "./function-name.ts";
import type { LambdaFunctions } from "./ports.ts";

/** https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html, "Requirements". */
const maxTags = 50;
const maxKeyLength = 128;
const maxValueLength = 256;

export function tagHandlers(
	functions: LambdaFunctions,
	mappings?: Pick<EventSourceMappingOperations, "get" | "tag" | "untag">,
): Handlers<typeof sdk> {
	const taggedOf = (resource: string, call: Call): Tagged => {
		const uuid = taggedMapping(resource);
		if (uuid !== undefined && mappings)
			return {
				tags: () => mappings.get(uuid).tags,
				tag: (tags) => mappings.tag(uuid, tags),
				untag: (keys) => mappings.untag(uuid, keys),
			};
		const name = taggedFunction(resource, call);
		return {
			tags: () => functions.get(name).tags,
			tag: (tags) => functions.tag(name, tags),
			untag: (keys) => functions.untag(name, keys),
		};
	};
	return {
		ListTags: (input, call) => ({ Tags: { ...taggedOf(input.Resource, call).tags() } }),

		async TagResource(input, call) {
			const tagged = taggedOf(input.Resource, call);
			const before = tagged.tags();
			if (Object.keys(input.Tags).length === 0)
				throw new SlipwayError("INVALID", "An error occurred and the request cannot be processed.");
			checkTags({ ...before, ...input.Tags });
			await tagged.tag(input.Tags);
			return {};
		},

		async UntagResource(input, call) {
			await taggedOf(input.Resource, call).untag(input.TagKeys);
			return {};
		},
	};
}

interface Tagged {
	/** NOT_FOUND. */
	tags(): Readonly<Record<string, string>>;
	tag(tags: Record<string, string>): Promise<void>;
	untag(keys: readonly string[]): Promise<void>;
}

/** The UUID of a mapping's ARN; undefined for the ARN of something else. */
export function taggedMapping(resource: string): string | undefined {
	return /:event-source-mapping:([0-9a-fA-F-]{36})$/.exec(resource)?.[1];
}

function taggedFunction(resource: string, call: Call): string {
	if (!resource.includes(":function:")) throw new SlipwayError("NOT_FOUND", `Resource not found: ${resource}`);
	const { name, qualifier } = parseFunctionName(resource, undefined, call);
	if (qualifier !== undefined)
		throw new SlipwayError(
			"INVALID",
			"Tags on function aliases and versions are not supported. Please specify a function ARN.",
		);
	return name;
}

/** SlipwayError INVALID. */
export function checkTags(tags: Readonly<Record<string, string>>): void {
	const entries = Object.entries(tags);
	if (entries.length > maxTags) throw new SlipwayError("INVALID", "Number of tags exceeds resource tag limit.");
	for (const [key, value] of entries)
		if (key === "" || key.length > maxKeyLength || value.length > maxValueLength)
			throw new SlipwayError(
				"INVALID",
				`Tag keys have 1 to ${maxKeyLength} characters and their values at most ${maxValueLength}: '${key.slice(0, maxKeyLength)}'`,
			);
}
