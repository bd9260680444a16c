/** One line of `slipway doctor`. */
export interface Finding {
	name: string;
	/** `warn`: functions run, something else does not. `fail`: functions do not run. */
	status: "ok" | "warn" | "fail";
	detail: string;
	/** A command that mends it. */
	fix?: string;
	/** The Debian package that mends it, for --fix. */
	package?: string;
}

export const installCommand = (name: string) => `apt-get install --yes ${name}`;

/** A missing program, with the package that brings it. */
export function missing(name: string, status: "warn" | "fail", detail: string, debianPackage: string): Finding {
	return { name, status, detail, fix: installCommand(debianPackage), package: debianPackage };
}
