/** redis-server from Debian's package, which syncs each write, its files in a folder of its own. */
import { findProgram, freePorts, RealServer, temporaryFolder } from "../../../base/testing/real-server.ts";

const program = findProgram("redis-server");
export const skipRedis = program === undefined ? "needs Debian's package redis-server" : false;
export const redisPassword = "s3cret-redis";

export interface TestRedis extends AsyncDisposable {
	port: number;
	restart(): Promise<void>;
	kill(): Promise<void>;
	start(): Promise<void>;
}

export async function startRedis(): Promise<TestRedis> {
	const folder = await temporaryFolder();
	const [port = 0] = await freePorts(1);
	const settings = {
		port: String(port),
		bind: "127.0.0.1",
		dir: folder.path,
		requirepass: redisPassword,
		appendonly: "yes",
		appendfsync: "always",
		save: "",
	};
	const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
	const server = await new RealServer({ program: program ?? "redis-server", args, port }).start();
	return {
		port,
		restart: () => server.restart(),
		kill: () => server.kill(),
		start: async () => void (await server.start()),
		async [Symbol.asyncDispose]() {
			await server.kill();
			await folder[Symbol.asyncDispose]();
		},
	};
}
