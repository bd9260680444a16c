import { SlipwayError } from "../../base/error.ts";
import type { Reference } from "../../core/image/reference.ts";

/** Where a reference's repository is served: the origin, and the repository's name there. */
export interface Endpoint {
	origin: string;
	repository: string;
	/** The name credentials are kept under. */
	credentialHost: string;
}

const dockerHubNames = new Set(["docker.io", "index.docker.io", "registry-1.docker.io"]);

/**
 * Docker's own registry answers at another name than the one in references, and keeps its official images under
 * "library/" (distribution/reference, "familiar names").
 */
export function endpointOf(reference: Reference, insecureHosts: ReadonlySet<string>): Endpoint {
	const host = reference.registry.toLowerCase();
	if (dockerHubNames.has(host)) {
		const repository = reference.repository.includes("/") ? reference.repository : `library/${reference.repository}`;
		return { origin: "https://registry-1.docker.io", repository, credentialHost: "docker.io" };
	}
	const scheme = mayBePlain(host, insecureHosts) ? "http" : "https";
	return { origin: `${scheme}://${host}`, repository: reference.repository, credentialHost: reference.registry };
}

/** Without encryption we talk to this machine, and to hosts that the operator has named. `host` may carry a port. */
export function mayBePlain(host: string, insecureHosts: ReadonlySet<string>): boolean {
	return isLoopback(host) || insecureHosts.has(host);
}

export function isLoopback(host: string): boolean {
	const name = host.toLowerCase().replace(/:\d+$/, "");
	return name === "localhost" || name === "[::1]" || /^127(\.\d{1,3}){3}$/.test(name);
}

/**
 * Checks a link that a registry gave us (a redirect, a token service). It may not lead from an encrypted connection to a
 * plain one, and not from the network to a service of this machine.
 */
export function checkLink(link: string, from: URL, insecureHosts: ReadonlySet<string>): URL {
	if (!URL.canParse(link, from)) throw refuse(from, link, "it is not a URL");
	const url = new URL(link, from);
	if (url.protocol !== "https:" && url.protocol !== "http:") throw refuse(from, link, "it is neither http nor https");
	if (url.username !== "" || url.password !== "") throw refuse(from, link, "it carries a user name");
	if (isLoopback(url.host) && !isLoopback(from.host)) throw refuse(from, link, "it leads to this machine's loopback");
	if (url.protocol === "http:" && !mayBePlain(url.host, insecureHosts) && from.protocol === "https:")
		throw refuse(from, link, "it leads from https to http");
	if (url.protocol === "http:" && !mayBePlain(url.host, insecureHosts) && !insecureHosts.has(from.host))
		throw refuse(from, link, "it is not encrypted");
	return url;
}

function refuse(from: URL, link: string, why: string): SlipwayError {
	return new SlipwayError(
		"UNAVAILABLE",
		`${from.host} sent a link to '${link.slice(0, 200)}' that is refused: ${why}`,
		{
			reason: "RefusedLink",
		},
	);
}
