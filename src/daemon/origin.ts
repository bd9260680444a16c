/** The daemon at "localhost", which may have names below it, as an address does not. */
export function originOf(url: string): string {
	const { protocol, host } = new URL(url);
	return `${protocol}//localhost${portOf(host)}`;
}

/** ":4747", or nothing for the scheme's own. */
export function portOf(host: string): string {
	return /:\d+$/.exec(host)?.[0] ?? "";
}
