/** Compilers that the images need: what is on the path, else Debian's package where root may install it. */
import { attempt, isThere, run } from "../../tools/run.ts";
import { Unavailable } from "./image.ts";

/** A big JDK through a slow mirror. */
const installTimeoutMs = 10 * 60_000;

/** Commands and the Debian package that brings each. Throws `Unavailable` when one can't be had. */
export async function needCommands(commands: Record<string, string>): Promise<void> {
	const missing = [];
	for (const [command, name] of Object.entries(commands))
		if ((await attempt("sh", ["-c", `command -v ${command}`])).code !== 0) missing.push(name);
	if (missing.length === 0) return;
	const packages = [...new Set(missing)];
	if (process.getuid?.() !== 0 || !(await isThere("apt-get")))
		throw new Unavailable(`needs ${packages.join(", ")}, and apt-get as root to install it`);
	const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
	const options = { env, timeoutMs: installTimeoutMs };
	await run("apt-get", ["-qq", "update"], options);
	const install = ["-qq", "-y", "--no-install-recommends", "install", ...packages];
	const { code, stderr } = await attempt("apt-get", install, options);
	if (code !== 0) throw new Unavailable(`apt-get could not install ${packages.join(", ")}: ${stderr.slice(-500)}`);
}

/** Debian 12's rustc (1.63) is too old for every current crate, so only a machine's own Rust counts. */
export async function needRust(minimum: number): Promise<void> {
	const { stdout, code } = await attempt("rustc", ["--version"], { timeoutMs: 20_000 });
	const minor = Number(/^rustc 1\.(\d+)/.exec(stdout)?.[1] ?? 0);
	if (code !== 0 || minor < minimum || !(await isThere("cargo")))
		throw new Unavailable(
			`needs cargo and rustc 1.${minimum} or later${code === 0 ? `; here is ${stdout.trim()}` : ""}`,
		);
}
