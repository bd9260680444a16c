/** `npm run check`: types, format and lint, import directions and tidiness; every one runs, whatever the others say. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const program = (name: string) => join(root, "node_modules", ".bin", name);

const checks: { name: string; command: string[] }[] = [
	{ name: "types", command: [program("tsc"), "-p", "."] },
	{ name: "format and lint", command: [program("biome"), "check", "."] },
	{
		name: "architecture",
		command: [process.execPath, "--test", "--test-reporter=dot", "tests/architecture/*.test.ts"],
	},
];

for (const { name, command } of checks) {
	const started = performance.now();
	const { status, error } = spawnSync(command[0] as string, command.slice(1), { cwd: root, stdio: "inherit" });
	if (error) throw error;
	console.log(`${status === 0 ? "ok    " : "FAILED"} ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
	if (status !== 0) process.exitCode = 1;
}
