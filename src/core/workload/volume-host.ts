/**
 * Makes folders of the host that containers get as volumes. What `emptyDir` and `files` make is gone with its disposal;
 * what `persistent` gives outlives everything. Each can be written by any user: a container's user may be any number.
 */
export interface VolumeHost {
	/** A tmpfs of its own. `id` is unique on the machine, `[a-z0-9-]{1,80}`. EXHAUSTED. */
	emptyDir(id: string, sizeMiB: number): Promise<Volume>;
	/** Files by name, in memory. `mode` holds for each. INVALID for a name that is not one path segment. EXHAUSTED. */
	files(id: string, files: Readonly<Record<string, string>>, mode: number): Promise<Volume>;
	/** The folder of a claim, made at its first use. INVALID when `claim` is not `[a-z0-9][a-z0-9.-]{0,126}`. */
	persistent(claim: string): Promise<Volume>;
}

export interface Volume extends AsyncDisposable {
	/** Absolute, on the host. */
	readonly path: string;
	/**
	 * Makes a folder at `subPath` within it when there is neither that nor a file; "" is the volume itself. INVALID when it
	 * leads out of the volume or over a link, which a container may have made. It may make one later: see SandboxMount.subPath.
	 */
	ensure(subPath: string): Promise<void>;
}
