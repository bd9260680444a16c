/** By the first digit of the status; "gone": the client left before it had one. */
export type RequestCounts = Record<"1xx" | "2xx" | "3xx" | "4xx" | "5xx" | "gone", number>;

/** What the gateway counts, since its start, for /_slipway/metrics. */
export interface GatewayCounters {
	requests: RequestCounts;
	/** Of these, the ones of services, by "NAMESPACE/NAME". */
	services: Map<string, ServiceCounters>;
	/** Now. */
	openRequests: number;
	openUpgrades: number;
	upgrades: number;
	/** Of bodies and through upgrades. */
	bytesIn: number;
	bytesOut: number;
	/** Answers that were not the container's own, by cause (AccessRecord's `failure`). */
	failures: Record<string, number>;
}

export interface ServiceCounters {
	namespace: string;
	service: string;
	requests: RequestCounts;
	/** For an instance, in all, milliseconds. */
	waitedMs: number;
	/** Requests that an instance had to be started for. */
	cold: number;
}

/** Services that are counted by themselves: twice as many as there may be routes. The one that was first asked for the longest ago goes. */
const maxServices = 2000;

export function serviceCounters({ services }: GatewayCounters, namespace: string, service: string): ServiceCounters {
	const key = `${namespace}/${service}`;
	const known = services.get(key);
	if (known) return known;
	if (services.size >= maxServices) for (const oldest of services.keys()) if (services.delete(oldest)) break;
	const made = { namespace, service, requests: noRequests(), waitedMs: 0, cold: 0 };
	services.set(key, made);
	return made;
}

function noRequests(): RequestCounts {
	return { "1xx": 0, "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0, gone: 0 };
}

export function newCounters(): GatewayCounters {
	return {
		requests: noRequests(),
		services: new Map(),
		openRequests: 0,
		openUpgrades: 0,
		upgrades: 0,
		bytesIn: 0,
		bytesOut: 0,
		failures: {},
	};
}

export function codeClass(status: number | undefined): keyof RequestCounts {
	if (status === undefined) return "gone";
	const digit = Math.trunc(status / 100);
	return digit >= 1 && digit <= 5 ? (`${digit}xx` as "2xx") : "5xx";
}
