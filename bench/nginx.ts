/** nginx as a proxy before one server, for comparison: Debian's package, unpacked and not installed, which would start a service of the machine's own. */
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { attempt, isThere, run } from "../tools/run.ts";
import { freePort, untilListening } from "./bench-service.ts";
import { endProcess, type PlainServer } from "./plain-processes.ts";

/** One process, as the gateway and the plain proxy are; answers are never kept on the disk. */
const configuration = (folder: string, port: number, upstream: number) => `
daemon off;
master_process off;
pid ${folder}/pid;
worker_rlimit_nofile 16384;
events { worker_connections 16000; }
http {
	access_log off;
	${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")}
	keepalive_requests 100000000;
	upstream service { server 127.0.0.1:${upstream}; keepalive 64; keepalive_requests 100000000; }
	map $http_upgrade $connection_to_service { default upgrade; '' ''; }
	server {
		listen 127.0.0.1:${port} backlog=4096;
		location / {
			proxy_pass http://service;
			proxy_http_version 1.1;
			proxy_max_temp_file_size 0;
			proxy_set_header Host $http_host;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_to_service;
		}
	}
}`;

/** Why there is none, otherwise. */
export async function startNginx(upstream: number): Promise<PlainServer | string> {
	const program = await findNginx();
	if (program === undefined) return "nginx is not installed and apt-get does not bring it";
	const folder = await mkdtemp(join(tmpdir(), "slipway-bench-nginx-"));
	const port = await freePort();
	await writeFile(join(folder, "nginx.conf"), configuration(folder, port, upstream));
	const words = ["-e", "stderr", "-p", folder, "-c", join(folder, "nginx.conf")];
	const child = spawn(program, words, { stdio: ["ignore", "ignore", "inherit"] });
	const dispose = async () => {
		await endProcess(child);
		await rm(folder, { recursive: true, force: true });
	};
	try {
		(await untilListening(port, child)).destroy();
	} catch (error) {
		await dispose();
		throw error;
	}
	return { url: `http://127.0.0.1:${port}`, pid: child.pid as number, [Symbol.asyncDispose]: dispose };
}

async function findNginx(): Promise<string | undefined> {
	for (const program of ["nginx", "/usr/sbin/nginx"]) if (await isThere(program, ["-v"])) return program;
	const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "slipway", "nginx");
	const program = join(folder, "usr", "sbin", "nginx");
	if (await isThere(program, ["-v"])) return program;
	process.stderr.write("bench: fetching nginx (the Debian package)\n");
	await mkdir(dirname(folder), { recursive: true });
	const part = await mkdtemp(`${folder}.part-`);
	try {
		if ((await attempt("apt-get", ["download", "nginx"], { cwd: part })).code !== 0) {
			await attempt("apt-get", ["-qq", "update"]);
			if ((await attempt("apt-get", ["download", "nginx"], { cwd: part })).code !== 0) return undefined;
		}
		const [archive = ""] = await readdir(part);
		await run("dpkg-deb", ["--extract", archive, part], { cwd: part });
		await rm(folder, { recursive: true, force: true });
		await rename(part, folder);
	} finally {
		await rm(part, { recursive: true, force: true });
	}
	return (await isThere(program, ["-v"])) ? program : undefined;
}
