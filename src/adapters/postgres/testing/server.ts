/** PostgreSQL from Debian's package, as the user postgres, its files in a folder of its own. */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { chown } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePorts, isExecutable, RealServer, temporaryFolder } from "../../../base/testing/real-server.ts";
import type { BrokerAddress } from "../../../core/event-source/event-source.ts";
import { connectPostgres } from "../connection.ts";

const run = promisify(execFile);
const installed = "/usr/lib/postgresql";

function programs(): string | undefined {
	try {
		const versions = readdirSync(installed).sort((a, b) => Number(b) - Number(a));
		return versions.map((version) => join(installed, version, "bin")).find((bin) => isExecutable(join(bin, "initdb")));
	} catch {
		return undefined;
	}
}

const bin = programs();
export const skipPostgres = bin === undefined ? "needs Debian's package postgresql" : false;

export interface TestPostgres extends AsyncDisposable {
	port: number;
	address: BrokerAddress;
	query(sql: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
	restart(): Promise<void>;
	kill(): Promise<void>;
	start(): Promise<void>;
}

export async function startPostgres(): Promise<TestPostgres> {
	const folder = await temporaryFolder();
	const [port = 0] = await freePorts(1);
	const user = await postgresUser();
	await chown(folder.path, user.uid ?? process.getuid?.() ?? 0, user.gid ?? process.getgid?.() ?? 0);
	const data = join(folder.path, "data");
	const initdb = ["-D", data, "-U", "slipway", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"];
	await run(join(bin ?? "", "initdb"), initdb, { ...user, cwd: folder.path });
	const settings = {
		listen_addresses: "127.0.0.1",
		unix_socket_directories: folder.path,
		wal_level: "logical",
		fsync: "off",
		max_connections: "30",
	};
	const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
	const address: BrokerAddress = {
		url: new URL(`postgres://slipway@127.0.0.1:${port}/postgres`),
		password: "s3cret-postgres",
		ca: undefined,
		clientName: "slipway/test",
	};
	const ready = () =>
		connectPostgres(address)
			.then((client) => client.end().then(() => true))
			.catch(() => false);
	const args = ["-D", data, "-p", String(port), ...flags];
	const server = new RealServer({ program: join(bin ?? "", "postgres"), args, port, ...user, cwd: folder.path, ready });
	await server.start();
	return {
		port,
		address,
		async query(sql, values = []) {
			const client = await connectPostgres(address);
			try {
				return (await client.query(sql, values)).rows;
			} finally {
				await client.end();
			}
		},
		restart: () => server.restart(),
		kill: () => server.kill(),
		start: async () => void (await server.start()),
		async [Symbol.asyncDispose]() {
			await server.kill();
			await folder[Symbol.asyncDispose]();
		},
	};
}

/** It refuses to run as root. */
async function postgresUser(): Promise<{ uid?: number; gid?: number }> {
	if (process.getuid?.() !== 0) return {};
	const number = async (flag: string) => Number((await run("id", [flag, "postgres"])).stdout);
	return { uid: await number("-u"), gid: await number("-g") };
}
