/**
 * What user 0 of a container may do beyond other users, by number (linux/capability.h): change owners and users, and what is
 * other users' own, in its container alone. The list of CRI-O (pkg/config, DefaultCapabilities), which servers that start as
 * user 0 and go on as another are made for; Docker's has MKNOD, NET_RAW, SYS_CHROOT, SETFCAP and AUDIT_WRITE as well.
 */
export const containerCapabilities = {
	CAP_CHOWN: 0,
	CAP_DAC_OVERRIDE: 1,
	CAP_FOWNER: 3,
	CAP_FSETID: 4,
	CAP_KILL: 5,
	CAP_SETGID: 6,
	CAP_SETUID: 7,
	CAP_SETPCAP: 8,
	CAP_NET_BIND_SERVICE: 10,
} as const;

export type ContainerCapability = keyof typeof containerCapabilities;

/** All of them but those that a manifest drops: names as Kubernetes has them, without CAP_, or ALL. */
export function capabilitiesWithout(drop: readonly string[] = []): ContainerCapability[] {
	const dropped = new Set(drop.map((name) => name.toUpperCase().replace(/^(CAP_)?/, "CAP_")));
	if (dropped.has("CAP_ALL")) return [];
	return (Object.keys(containerCapabilities) as ContainerCapability[]).filter((name) => !dropped.has(name));
}
