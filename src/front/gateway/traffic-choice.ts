/** Which revision a request goes to: by the weights, or to where its client has been before. */
import type { ServiceRoute } from "../../core/service/traffic.ts";

export interface Choice {
	revision: string;
	/** Id of the instance that the client has been at. */
	preferred: string | undefined;
}

/** Cloud Run's session affinity lasts 30 days (https://cloud.google.com/run/docs/configuring/session-affinity). */
const affinitySeconds = 30 * 24 * 3600;
const affinityName = "SLIPWAY_AFFINITY";
/** Neither a revision's nor an instance's name has the sign between them. */
const affinityPattern = /(?:^|;\s*)SLIPWAY_AFFINITY=([a-z0-9.-]{1,63})~([a-z0-9-]{1,64})(?:;|$)/;

/** Undefined when the route leads nowhere. `random`: 0 to below 1. */
export function chooseRevision(
	route: ServiceRoute,
	cookie: string | undefined,
	random: () => number,
): Choice | undefined {
	const { targets } = route;
	if (route.sessionAffinity && cookie?.includes(affinityName)) {
		const [, revision, preferred] = affinityPattern.exec(cookie) ?? [];
		// What the cookie says is a wish: a revision that gets nothing any more is not to be had by it.
		if (revision !== undefined && targets.some((target) => target.revision === revision && target.percent > 0))
			return { revision, preferred };
	}
	const [first] = targets;
	if (first === undefined) return undefined;
	if (targets.length === 1) return { revision: first.revision, preferred: undefined };
	let point = random() * targets.reduce((sum, { percent }) => sum + percent, 0);
	for (const { revision, percent } of targets) {
		point -= percent;
		if (point < 0) return { revision, preferred: undefined };
	}
	const last = targets.findLast(({ percent }) => percent > 0);
	return last && { revision: last.revision, preferred: undefined };
}

/** Set-Cookie; undefined when the client has it already. */
export function affinityCookie(
	cookie: string | undefined,
	revision: string,
	instance: string,
	scheme: string,
): string | undefined {
	const value = `${affinityName}=${revision}~${instance}`;
	if (cookie?.split(/;\s*/).includes(value)) return undefined;
	return `${value}; Path=/; Max-Age=${affinitySeconds}; HttpOnly; SameSite=Lax${scheme === "https" ? "; Secure" : ""}`;
}
