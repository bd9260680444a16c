/** `slipway doctor`: findings as JSON lines on standard output, as they are made. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { parseConfig } from "../config/config.ts";
import { processEnvironment, thisMachine } from "../config/process.ts";
import { enterMountNamespace, inOwnMountNamespace } from "../namespace.ts";
import { checks } from "./checks.ts";
import { toolPath } from "./command.ts";
import type { Finding } from "./finding.ts";

const args = process.argv.slice(2);
// Containers start in the surroundings that the daemon gives them.
if (thisMachine().root && !inOwnMountNamespace(args)) enterMountNamespace(args, processEnvironment);
await main(args.includes("--fix"));

async function main(fix: boolean): Promise<void> {
	// The address is only looked at: whether it may be used is said by `up`.
	const config = parseConfig({ ...processEnvironment, SLIPWAY_INSECURE: "1" }, thisMachine());
	const findings = (await Array.fromAsync(checks, (check) => check(config))).flat();
	const packages = [...new Set(findings.flatMap((finding) => (finding.package ? [finding.package] : [])))];
	if (!fix || packages.length === 0) return findings.forEach(print);
	const refusal = await install(packages);
	if (refusal) {
		findings.forEach(print);
		return print({ name: "fix", status: "fail", detail: refusal });
	}
	for (const check of checks) [await check(config)].flat().forEach(print);
	print({ name: "fix", status: "ok", detail: `installed ${packages.join(", ")}` });
}

function print({ package: _, ...finding }: Finding): void {
	process.stdout.write(`${JSON.stringify(finding)}\n`);
}

/** Undefined when it worked. apt-get writes to standard error, which the user sees. */
async function install(packages: readonly string[]): Promise<string | undefined> {
	if (!thisMachine().root) return "--fix needs root";
	if (!existsSync("/usr/bin/apt-get")) return "--fix knows Debian and Ubuntu only; install the packages by hand";
	for (const command of [["update"], ["install", "--yes", "--no-install-recommends", ...packages]]) {
		const child = spawn("apt-get", command, {
			stdio: ["ignore", 2, 2],
			env: { ...processEnvironment, PATH: toolPath, DEBIAN_FRONTEND: "noninteractive" },
		});
		const code = await new Promise<number | null>((resolve, reject) => {
			child.once("error", reject);
			child.once("exit", resolve);
		});
		if (code !== 0) return `\`apt-get ${command.join(" ")}\` ended with exit code ${code}`;
	}
	return undefined;
}
