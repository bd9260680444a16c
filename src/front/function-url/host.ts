/**
 * `ID.lambda-url.REGION.DOMAIN[:PORT]`. Any domain will do: `*.localhost` is this machine for browsers and curl, and a proxy
 * may bring a real one. A name's case means nothing (RFC 4343).
 */
const pattern = /^([a-z0-9]{1,63})\.lambda-url\.[a-z0-9.-]+(?::\d+)?$/i;

/** The function URL's id that a Host header names, or undefined for any other host. */
export function urlIdOf(host: string | undefined): string | undefined {
	return host === undefined ? undefined : pattern.exec(host)?.[1]?.toLowerCase();
}
