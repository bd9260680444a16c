/** The URL of a service, or of one of its tags: `NAME[.NAMESPACE].DOMAIN` at the scheme and port of `base`. */
export function serviceUrl(
	domain: string,
	base: string,
	namespace: string,
	service: string,
	tag: string | undefined,
): string {
	const { protocol, port } = new URL(base);
	const label = tag === undefined ? service : `${tag}---${service}`;
	const host = [label, ...(namespace === "default" ? [] : [namespace]), domain].join(".");
	return `${protocol}//${host}${port && `:${port}`}`;
}
