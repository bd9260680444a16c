/** Which service a Host header means: NAME, NAME.NAMESPACE and TAG---NAME[.NAMESPACE] below a base domain. */

export interface ServiceHost {
	namespace: string;
	/** First label as it is, for a service whose own name has three hyphens. */
	label: string;
	service: string;
	tag: string | undefined;
}

/** RFC 1035, 2.3.4; and 2.3.1 for a label. */
const maxHostLength = 253;
/** With a port and the dot at the end. */
export const maxHostHeaderLength = maxHostLength + 7;
const hostPattern = /^([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const separator = "---";

/**
 * Lower case, without port and one trailing dot; undefined for what is no DNS name (an address in brackets, a user's name, a
 * non-ASCII letter, which travels as "xn--…" or not at all).
 */
export function normalHost(host: string | undefined): string | undefined {
	if (host === undefined || host.length > maxHostHeaderLength) return undefined;
	const port = /:\d{1,5}$/.exec(host);
	let name = (port ? host.slice(0, port.index) : host).toLowerCase();
	if (name.endsWith(".")) name = name.slice(0, -1);
	return name.length <= maxHostLength && hostPattern.test(name) ? name : undefined;
}

/** `host` as `normalHost` gives it. "outside": below none of the domains; undefined: below one, and no service's name. */
export function serviceHost(host: string, domains: readonly string[]): ServiceHost | "outside" | undefined {
	for (const domain of domains) {
		if (!host.endsWith(domain) || host[host.length - domain.length - 1] !== ".") continue;
		const [label = "", namespace = "default", ...more] = host.slice(0, -domain.length - 1).split(".");
		if (more.length > 0) return undefined;
		const at = label.indexOf(separator);
		const isTagged = at > 0 && at + separator.length < label.length;
		return {
			namespace,
			label,
			service: isTagged ? label.slice(at + separator.length) : label,
			tag: isTagged ? label.slice(0, at) : undefined,
		};
	}
	return "outside";
}
