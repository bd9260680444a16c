/** gcloud's flags of `run services update-traffic` on a list of targets: pure. */
import type { ServiceView, TrafficTargetView } from "../client/service-schema.ts";
import { usage } from "./options.ts";

export interface TrafficChange {
	toLatest?: boolean;
	/** `REVISION=PERCENT`; LATEST for the newest that is ready. */
	toRevisions?: readonly string[];
	/** `TAG=PERCENT` */
	toTags?: readonly string[];
	/** `TAG=REVISION`, in the place of all tags there are. */
	setTags?: readonly string[];
	/** `TAG=REVISION`, besides those there are. */
	updateTags?: readonly string[];
	removeTags?: readonly string[];
	clearTags?: boolean;
}

const latest = "LATEST";

export function changeTraffic(current: readonly TrafficTargetView[], change: TrafficChange): TrafficTargetView[] {
	const percents = new Map<string, number>();
	const tags = new Map<string, string>();
	for (const target of current) {
		const key = keyOf(target);
		if (target.percent) percents.set(key, (percents.get(key) ?? 0) + target.percent);
		if (target.tag !== undefined) tags.set(target.tag, key);
	}
	if (percents.size === 0) percents.set(latest, 100);
	changeTags(tags, change);
	const split = newSplit(percents, tags, change);
	return [
		...[...split].filter(([, percent]) => percent > 0).map(([key, percent]) => ({ ...targetOf(key), percent })),
		...[...tags].map(([tag, key]) => ({ ...targetOf(key), tag, percent: 0 })),
	];
}

/**
 * What `changeTraffic` begins with: the definition, but after an automatic rollback what is in force. The definition still says
 * that the newest revision gets the requests, and any change of it would give them back to what has just failed.
 */
export function currentTraffic({ spec, status }: ServiceView): TrafficTargetView[] {
	const defined = spec.traffic?.length ? spec.traffic : [{ latestRevision: true, percent: 100 }];
	const inForce = (status.traffic ?? []).filter(({ percent }) => percent);
	const newest = status.latestReadyRevisionName;
	const isTakenBack =
		inForce.length > 0 &&
		defined.some(({ revisionName, percent }) => revisionName === undefined && percent) &&
		inForce.every(({ revisionName }) => revisionName !== newest);
	return isTakenBack ? [...pinned(inForce), ...defined.filter(({ percent }) => !percent)] : defined;
}

/** As it is this moment, whatever is deployed next: where there is nothing in force yet, undefined. */
export function pinnedTraffic({ spec, status }: ServiceView): TrafficTargetView[] | undefined {
	const inForce = (status.traffic ?? []).filter(({ percent }) => percent);
	if (inForce.length === 0) return undefined;
	const tags = (spec.traffic ?? []).filter(({ tag }) => tag !== undefined);
	return [...pinned(inForce), ...tags.map((target) => ({ ...target, percent: 0 }))];
}

function pinned(targets: readonly TrafficTargetView[]): TrafficTargetView[] {
	const sums = new Map<string, number>();
	for (const { revisionName = latest, percent = 0 } of targets)
		sums.set(revisionName, (sums.get(revisionName) ?? 0) + percent);
	return [...sums].map(([key, percent]) => ({ ...targetOf(key), percent }));
}

function keyOf({ revisionName }: TrafficTargetView): string {
	return revisionName ?? latest;
}

function targetOf(key: string): TrafficTargetView {
	return key === latest ? { latestRevision: true } : { revisionName: key, latestRevision: false };
}

function changeTags(tags: Map<string, string>, change: TrafficChange): void {
	if (change.clearTags || change.setTags?.length) tags.clear();
	for (const pair of [...(change.setTags ?? []), ...(change.updateTags ?? [])]) {
		const [tag, revision] = pairOf("tag", pair, "TAG=REVISION");
		tags.set(tag, revision);
	}
	for (const tag of change.removeTags ?? [])
		if (!tags.delete(tag)) throw usage(`There is no tag '${tag}'; there are: ${[...tags.keys()].join(", ") || "none"}`);
}

function newSplit(
	before: ReadonlyMap<string, number>,
	tags: ReadonlyMap<string, string>,
	{ toLatest, toRevisions = [], toTags = [] }: TrafficChange,
): ReadonlyMap<string, number> {
	const kinds = [toLatest === true, toRevisions.length > 0, toTags.length > 0].filter(Boolean).length;
	if (kinds > 1) throw usage("--to-latest, --to-revisions and --to-tags exclude each other");
	if (kinds === 0) return before;
	if (toLatest) return new Map([[latest, 100]]);
	const given = new Map<string, number>();
	for (const pair of toRevisions) {
		const [revision, percent] = pairOf("to-revisions", pair, "REVISION=PERCENT");
		given.set(revision, percentOf(pair, percent));
	}
	for (const pair of toTags) {
		const [tag, percent] = pairOf("to-tags", pair, "TAG=PERCENT");
		const revision = tags.get(tag);
		if (revision === undefined)
			throw usage(`There is no tag '${tag}'; there are: ${[...tags.keys()].join(", ") || "none"}`);
		given.set(revision, percentOf(pair, percent));
	}
	return shareRest(before, given);
}

/** What is not given goes to the others in the shares they had; whole percents, the largest remainders first. */
function shareRest(before: ReadonlyMap<string, number>, given: ReadonlyMap<string, number>): Map<string, number> {
	const rest = 100 - sum(given.values());
	if (rest < 0) throw usage(`The percentages add up to ${100 - rest}: 100 is the most`);
	const others = [...before].filter(([key]) => !given.has(key));
	const total = sum(others.map(([, percent]) => percent));
	if (rest > 0 && total === 0)
		throw usage(`The percentages add up to ${100 - rest}, and no other revision has traffic: they must add up to 100`);
	const shares = others.map(([key, percent]) => ({ key, exact: total === 0 ? 0 : (rest * percent) / total }));
	const split = new Map([...given, ...shares.map(({ key, exact }) => [key, Math.floor(exact)] as const)]);
	let left = 100 - sum(split.values());
	for (const { key } of shares.toSorted((a, b) => (b.exact % 1) - (a.exact % 1))) {
		if (left-- <= 0) break;
		split.set(key, (split.get(key) ?? 0) + 1);
	}
	return split;
}

function sum(numbers: Iterable<number>): number {
	let total = 0;
	for (const number of numbers) total += number;
	return total;
}

function pairOf(option: string, pair: string, form: string): [string, string] {
	const [, name, value] = /^([^=]+)=([^=]+)$/.exec(pair) ?? [];
	if (name !== undefined && value !== undefined) return [name, value];
	throw usage(`--${option} is '${pair}': it must be ${form}`);
}

function percentOf(pair: string, text: string): number {
	if (/^\d{1,3}$/.test(text) && Number(text) <= 100) return Number(text);
	throw usage(`'${pair}': the percentage must be a whole number from 0 to 100`);
}

/**
 * `hello-00002 90%, hello-00003 (latest) 10%, tag green -> hello-00003`. While a revision is rolled out, those that lose their share to it
 * have `latestRevision` in Knative's status as well: of `newest` alone it is true.
 */
export function describeTraffic(targets: readonly TrafficTargetView[], newest?: string): string {
	const name = ({ revisionName, latestRevision }: TrafficTargetView) => {
		if (revisionName === undefined) return latest;
		const isNewest = latestRevision === true && (newest === undefined || revisionName === newest);
		return isNewest ? `${revisionName} (latest)` : revisionName;
	};
	const shares = targets.filter(({ percent }) => percent).map((target) => `${name(target)} ${target.percent}%`);
	const tags = targets.filter(({ tag }) => tag !== undefined).map((target) => `tag ${target.tag} -> ${name(target)}`);
	return [...shares, ...tags].join(", ") || "none";
}
