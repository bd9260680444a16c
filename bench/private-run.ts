import { spawnSync } from "node:child_process";
import { inPrivateMounts } from "../tools/private-mounts.ts";

/**
 * Runs `main` in this program started again: in a mount namespace of its own, and without the variable that adds 100 ms to the
 * start of every Node process.
 */
export async function inPrivateRun(main: () => Promise<void>): Promise<void> {
	if (process.env.SLIPWAY_BENCH_CHILD === "1") return main();
	const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
	const command = inPrivateMounts([process.execPath, ...process.execArgv, ...process.argv.slice(1)]);
	const { status, error } = spawnSync(command[0] as string, command.slice(1), {
		stdio: "inherit",
		env: { ...env, SLIPWAY_BENCH_CHILD: "1" },
	});
	if (error) throw error;
	process.exitCode = status ?? 1;
}
