/** Names that a request's Host can have (RFC 1123 2.1), and wildcards of them. */

const maxHostLength = 253;
const label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
const name = new RegExp(`^${label}(\\.${label})*$`);

/** What is wrong with a lower-case host of a document. */
export function hostProblem(host: string): string | undefined {
	const rest = host.startsWith("*.") ? host.slice(2) : host;
	if (rest.length <= maxHostLength && name.test(rest)) return undefined;
	return "must be a host name without a port, such as shop.example.com, or *. and one for all names below it";
}

/** Whether a certificate can be asked for by this name: no address, and no single label but localhost. */
export function isServerName(host: string): boolean {
	return host.length <= maxHostLength && name.test(host) && !/^[\d.]+$/.test(host);
}
