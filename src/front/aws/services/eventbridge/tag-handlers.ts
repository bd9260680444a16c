import { busOfArn, ruleArn } from "../../../../engine/bus/names.ts";
import { defaultBus } from "../../../../engine/bus/types.ts";
import { AwsError } from "../../errors.ts";
import type { EventBridgeDeps, EventBridgeHandlers } from "./ports.ts";
import { mergedTags, wireTags } from "./wire.ts";

type Tags = Record<string, string>;

/** Of buses and rules. */
interface Tagged {
	tags: Tags;
	set(tags: Tags): Promise<unknown>;
}

export function tagHandlers(deps: EventBridgeDeps): EventBridgeHandlers {
	return {
		ListTagsForResource: (input) => ({ Tags: wireTags(tagged(deps, input.ResourceARN).tags) }),
		TagResource: async (input) => {
			const resource = tagged(deps, input.ResourceARN);
			await resource.set(mergedTags(resource.tags, input.Tags));
			return {};
		},
		UntagResource: async (input) => {
			const resource = tagged(deps, input.ResourceARN);
			const left = Object.entries(resource.tags).filter(([key]) => !input.TagKeys.includes(key));
			await resource.set(Object.fromEntries(left));
			return {};
		},
	};
}

function tagged(deps: EventBridgeDeps, arn: string): Tagged {
	const { bus } = deps;
	const busName = busOfArn(deps, arn);
	if (busName !== undefined)
		return { tags: bus.describeBus(busName).tags, set: (tags) => bus.updateBus(busName, { tags }) };
	const prefix = ruleArn(deps, defaultBus, "");
	if (!arn.startsWith(prefix))
		throw new AwsError("ResourceNotFoundException", 400, `Resource ${arn.slice(0, 300)} does not exist.`);
	const path = arn.slice(prefix.length);
	const slash = path.lastIndexOf("/");
	const [ofBus, name] = slash < 0 ? [defaultBus, path] : [path.slice(0, slash), path.slice(slash + 1)];
	return { tags: bus.describeRule(ofBus, name).tags, set: (tags) => bus.setRuleTags(ofBus, name, tags) };
}
