import { spawn } from "node:child_process";
import { SlipwayError, systemCode } from "../../base/error.ts";

/** Administrators' tools live in sbin, which a service's own PATH often lacks. Nothing else of the daemon's environment is passed on. */
export const TOOL_ENVIRONMENT = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };
const TIMEOUT_MS = 20_000;
const MAX_OUTPUT_CHARACTERS = 1 << 20;

/** Which Debian package brings a tool, for hints. */
const packages: Record<string, string> = {
	ip: "iproute2",
	nft: "nftables",
	nsenter: "util-linux",
	iptables: "iptables",
	"mkfs.ext4": "e2fsprogs",
};

/** Runs a system tool to its end and returns what it wrote. UNAVAILABLE when it is missing, SANDBOX_FAILED with its own words when it fails. */
export async function runTool(tool: string, args: readonly string[], input = ""): Promise<string> {
	const child = spawn(tool, args, {
		stdio: ["pipe", "pipe", "pipe"],
		env: TOOL_ENVIRONMENT,
		timeout: TIMEOUT_MS,
		killSignal: "SIGKILL",
	});
	let output = "";
	let errors = "";
	child.stdout.setEncoding("utf8").on("data", (text: string) => {
		output = (output + text).slice(0, MAX_OUTPUT_CHARACTERS);
	});
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		errors = (errors + text).slice(-1_000);
	});
	const ended = new Promise<number | null>((resolve, reject) => {
		child.once("error", reject);
		child.once("close", resolve);
	});
	// A tool that ends without reading its input says why by its exit code.
	child.stdin.on("error", () => {});
	child.stdin.end(input);
	const code = await ended.catch((error: unknown) => {
		const hint = packages[tool] && systemCode(error) === "ENOENT" ? { hint: `apt install ${packages[tool]}` } : {};
		throw new SlipwayError("UNAVAILABLE", `Could not run ${tool}`, { cause: error, ...hint });
	});
	if (code !== 0)
		throw new SlipwayError(
			"SANDBOX_FAILED",
			`${tool} ${args.join(" ")} failed: ${errors.trim() || `exit code ${code}`}`,
		);
	return output;
}
