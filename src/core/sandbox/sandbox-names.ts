import { isIPv4 } from "node:net";
import { SlipwayError } from "../../base/error.ts";

/** RFC 1123, section 2.1, with RFC 1035, section 2.3.4: labels of up to 63 letters, digits and inner hyphens. */
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i;
/** Each costs every look-up of every sandbox a line to read: a megabyte at the most. */
export const MAX_NAMES = 16_384;

/** A copy. INVALID for what `SandboxRuntime.publishNames` does not take: no host name, no IPv4 address, or too many. */
export function checkedNames(names: Readonly<Record<string, string>>): Record<string, string> {
	const entries = Object.entries(names);
	if (entries.length > MAX_NAMES) throw new SlipwayError("INVALID", `More than ${MAX_NAMES} names for sandboxes`);
	for (const [name, address] of entries) {
		if (!HOST_NAME.test(name)) throw new SlipwayError("INVALID", `"${name}" is no host name`);
		if (!isIPv4(address)) throw new SlipwayError("INVALID", `"${address}" of ${name} is no IPv4 address`);
	}
	return Object.fromEntries(entries);
}

/** Lines of hosts(5). */
export function hostsLines(names: Readonly<Record<string, string>>): string {
	return Object.entries(names)
		.map(([name, address]) => `${address} ${name}\n`)
		.join("");
}
