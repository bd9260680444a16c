import type { TrafficTarget } from "./knative.ts";
import { qualifiedNameProblem } from "./kubernetes-names.ts";
import type { ObjectReader } from "./object-reader.ts";

/** Cloud Run's bound of tags is 2000; one request looks none of them up by search. */
const maxTargets = 1000;

/** route_validation.go validateTrafficList and route_defaults.go. No targets: all to the newest revision. */
export function readTraffic(spec: ObjectReader): TrafficTarget[] {
	const { problems } = spec;
	const path = spec.at("traffic");
	const readers = spec.objects("traffic");
	if (readers.length === 0) return [{ latestRevision: true, percent: 100 }];
	if (readers.length > maxTargets) problems.invalid(readers.length, path, `must have at most ${maxTargets} targets`);
	const tags = new Map<string, string>();
	const targets = readers.map((reader) => {
		const target = readTarget(reader);
		if (target.tag === undefined) return target;
		problems.dns1035Label(target.tag, reader.at("tag"));
		const other = tags.get(target.tag);
		if (other) problems.add(`Multiple definitions for "${target.tag}"`, [other, reader.at("tag")]);
		tags.set(target.tag, reader.at("tag"));
		return target;
	});
	const sum = targets.reduce((total, { percent = 0 }) => total + percent, 0);
	if (sum !== 100) problems.add(`Traffic targets sum to ${sum}, want 100`, path);
	return targets;
}

function readTarget(reader: ObjectReader): TrafficTarget {
	const { problems } = reader;
	const revisionName = reader.text("revisionName") || undefined;
	const given = reader.flag("latestRevision");
	if (given !== undefined && given === (revisionName !== undefined))
		problems.add(
			`may not set revisionName "${revisionName ?? ""}" when latestRevision is ${given}`,
			reader.at("latestRevision"),
		);
	const problem = revisionName === undefined ? undefined : qualifiedNameProblem(revisionName);
	if (problem) problems.add(`invalid key name "${revisionName}"`, reader.at("revisionName"), problem);
	const percent = reader.integer("percent") ?? 0;
	if (percent < 0 || percent > 100) problems.outOfBounds(percent, 0, 100, reader.at("percent"));
	const tag = reader.text("tag") || undefined;
	if (reader.text("configurationName")) problems.disallowed(reader.at("configurationName"));
	if (reader.text("url")) problems.disallowed(reader.at("url"));
	reader.end();
	return {
		...(revisionName === undefined ? {} : { revisionName }),
		latestRevision: given ?? revisionName === undefined,
		percent,
		...(tag === undefined ? {} : { tag }),
	};
}
