import { SlipwayError } from "../base/error.ts";
import type { RevisionView, ServiceView, TrafficTargetView } from "../client/service-schema.ts";
import { namespaceOf, namespaceOption, usage, wordsOf } from "./options.ts";
import { readyOf, untilReady } from "./service-progress.ts";
import { changeTraffic, currentTraffic, describeTraffic, type TrafficChange } from "./traffic-change.ts";
import { type Call, exitCodes, jsonOption, type Verb } from "./verb.ts";

export const verb: Verb = {
	usage: "service traffic NAME [--to-latest | --to-revisions R=10,LATEST=90 | --to-tags T=10] [--set-tags T=R]",
	summary: "Show or change which revisions get a service's requests",
	details:
		"The options are gcloud's (`run services update-traffic`). What --to-revisions and --to-tags leave of 100 is shared by\n" +
		"the other revisions that have traffic, in the proportions they had.",
	positionals: [1, 1],
	options: {
		"to-latest": { type: "boolean", description: "All to the newest ready revision, and to each newer one" },
		"to-revisions": {
			type: "string",
			multiple: true,
			value: "R=PERCENT,…",
			description: "LATEST is the newest that is ready",
		},
		"to-tags": {
			type: "string",
			multiple: true,
			value: "T=PERCENT,…",
			description: "To the revisions that have these tags",
		},
		"set-tags": { type: "string", multiple: true, value: "T=R,…", description: "These tags and no others" },
		"update-tags": { type: "string", multiple: true, value: "T=R,…", description: "These tags, and those there are" },
		"remove-tags": { type: "string", multiple: true, value: "T,…", description: "Take these tags away" },
		"clear-tags": { type: "boolean", description: "Take every tag away" },
		...namespaceOption,
		...jsonOption,
	},
	examples: [
		["slipway service traffic hello", "what it is now"],
		["slipway service traffic hello --to-revisions hello-00002=10", "10 % to one, the others share the rest"],
		["slipway service traffic hello --to-latest", ""],
		["slipway service traffic hello --update-tags green=LATEST", "reach the newest at green---hello"],
	],
	run: traffic,
};

async function traffic(call: Call): Promise<number> {
	const { context, values, positionals } = call;
	const [namespace, name] = [namespaceOf(call), positionals[0] ?? ""];
	const { workloads } = context.client();
	const change: TrafficChange = {
		toLatest: values["to-latest"] === true,
		toRevisions: wordsOf(values["to-revisions"]),
		toTags: wordsOf(values["to-tags"]),
		setTags: wordsOf(values["set-tags"]),
		updateTags: wordsOf(values["update-tags"]),
		removeTags: wordsOf(values["remove-tags"]),
		clearTags: values["clear-tags"] === true,
	};
	let service = await workloads.service(namespace, name);
	const asked = Object.values(change).some((one) => one === true || (Array.isArray(one) && one.length > 0));
	if (asked) {
		const targets = changeTraffic(currentTraffic(service), change);
		if (targets.length === 0) throw usage("Nothing would get traffic");
		checkRevisions(targets, await workloads.revisions(namespace, name));
		service = await untilReady(context, await workloads.setTraffic(namespace, name, targets));
	}
	return print(call, service);
}

/** The daemon takes any name, as Knative does: it may be one of a revision to come. From hand it is a slip. */
function checkRevisions(targets: readonly TrafficTargetView[], revisions: readonly RevisionView[]): void {
	const names = revisions.map(({ metadata }) => metadata.name);
	for (const { revisionName } of targets)
		if (revisionName !== undefined && !names.includes(revisionName))
			throw new SlipwayError("NOT_FOUND", `There is no revision '${revisionName}'`, {
				hint: `There are ${names.join(", ")}, and LATEST`,
			});
}

/** The exit code is 1 when the traffic that is asked for can't be had: what is printed is what there is. */
export function print({ context, values }: Call, { status }: ServiceView): number {
	const targets = status.traffic ?? [];
	if (values.json) context.printJson(targets);
	else context.print(describeTraffic(targets, status.latestReadyRevisionName));
	return readyOf(status.conditions, "RoutesReady")?.status === "False" ? exitCodes.failed : exitCodes.ok;
}
