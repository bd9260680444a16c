/** A daemon to be killed: makes sandboxes in the state folder it is given, says "ready", and waits. */
import { setTimeout as sleep } from "node:timers/promises";
import { contractLimits } from "../../../core/sandbox/sandbox-runtime.contract.ts";
import { OciSandboxRuntime } from "../oci-sandbox-runtime.ts";
import { inOwnMountNamespace } from "./own-mount-namespace.ts";

const [name, path, stateFolder, rootfs, count, egress] = process.argv.slice(2) as [
	"crun" | "runc",
	string,
	string,
	string,
	string,
	string,
];

await inOwnMountNamespace(import.meta.filename, async () => {
	const runtime = await OciSandboxRuntime.open({
		runtime: { name, path, version: "0.0.0" },
		stateFolder,
		allowVulnerableRuntime: true,
	});
	runtime.prepare({ tmpMiB: contractLimits.tmpMiB, egress: egress === "egress" });
	for (let i = 0; i < Number(count); i++) {
		const sandbox = await runtime.create({
			id: `doomed-${i}`,
			rootfs,
			args: ["sh", "-c", "sleep 600 & sleep 600"],
			env: { PATH: "/bin" },
			cwd: "/",
			user: { uid: 1000, gid: 1000 },
			readonlyRoot: i % 2 === 0,
			mounts: i % 2 === 0 ? [] : [{ source: stateFolder, target: "/made/here", readOnly: true }],
			limits: contractLimits,
			egress: egress === "egress" && i % 2 === 0,
			endpoint: { envName: "ENDPOINT", onConnection: (socket) => void socket.destroy() },
		});
		if (i % 3 !== 2) await sandbox.start();
		if (i % 3 === 1) await sandbox.freeze();
	}
	process.stdout.write(`ready ${process.pid}\n`);
	await sleep(600_000);
});
