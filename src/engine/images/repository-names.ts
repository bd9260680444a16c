import { SlipwayError } from "../../base/error.ts";
import { isRepositoryName, type Reference } from "../../core/image/reference.ts";

/**
 * The repository that keeps what came from another registry: its host as first component, then the repository as it is
 * called there (`docker.io/library/busybox`). A port, which a repository name can't hold, follows two underscores
 * (`localhost__5000/app`), which a host can't hold, so no two registries share a name. An IPv6 address has its colons as
 * dashes between two x (`ipv6-x--1x__5000/app`). INVALID when the host makes no legal name.
 */
export function mirrorRepository(reference: Pick<Reference, "registry" | "repository">): string {
	const [, address, port] = /^(.+?)(?::(\d+))?$/.exec(reference.registry.toLowerCase()) ?? [];
	const host = (address ?? "").replace(/^\[(.*)\]$/, (_, ip: string) => `ipv6-x${ip.replaceAll(":", "-")}x`);
	const library = host === "docker.io" && !reference.repository.includes("/") ? "library/" : "";
	const name = `${host}${port === undefined ? "" : `__${port}`}/${library}${reference.repository}`;
	if (isRepositoryName(name)) return name;
	throw new SlipwayError(
		"INVALID",
		`Images of '${reference.registry}/${reference.repository}' can't be kept here: '${name.slice(0, 300)}' is not a repository name`,
	);
}

/**
 * Tells whether a host in a reference is this registry. A name matches as it is, without regard to case; in a name a `*`
 * stands for one label, so that `*.dkr.ecr.*.amazonaws.com` makes every account and region of the cloud ours.
 */
export function localRegistryMatcher(names: readonly string[]): (host: string) => boolean {
	const patterns = names.map((name) => {
		const quoted = name.toLowerCase().replace(/[.+?^${}()|[\]\\]/g, "\\$&");
		return new RegExp(`^${quoted.replaceAll("*", "[a-z0-9-]+")}$`);
	});
	return (host) => patterns.some((pattern) => pattern.test(host.toLowerCase()));
}
