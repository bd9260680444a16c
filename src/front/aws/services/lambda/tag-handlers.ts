import type * as sdk from "@aws-sdk/client-lambda";
import { SlipwayError } from "../../../../base/error.ts";
import type { Call, Handlers } from "../../service.ts";
import { parseFunctionName } from "./function-name.ts";
import type { LambdaFunctions } from "./ports.ts";

/** https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html, "Requirements". */
const maxTags = 50;
const maxKeyLength = 128;
const maxValueLength = 256;

export function tagHandlers(functions: LambdaFunctions): Handlers<typeof sdk> {
	return {
		ListTags: (input, call) => ({ Tags: functions.get(taggedFunction(input.Resource, call)).tags }),

		async TagResource(input, call) {
			const name = taggedFunction(input.Resource, call);
			const { tags } = functions.get(name);
			if (Object.keys(input.Tags).length === 0)
				throw new SlipwayError("INVALID", "An error occurred and the request cannot be processed.");
			checkTags({ ...tags, ...input.Tags });
			await functions.tag(name, input.Tags);
			return {};
		},

		async UntagResource(input, call) {
			await functions.untag(taggedFunction(input.Resource, call), input.TagKeys);
			return {};
		},
	};
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
