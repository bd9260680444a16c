/** nats-server from Debian's package with JetStream, its files in a folder of its own. */
import { findProgram, freePorts, RealServer, temporaryFolder } from "../../../base/testing/real-server.ts";

const program = findProgram("nats-server");
export const skipNats = program === undefined ? "needs Debian's package nats-server" : false;
export const natsUser = { name: "slipway", password: "s3cret-nats" };

export interface TestNats extends AsyncDisposable {
	port: number;
	restart(): Promise<void>;
	kill(): Promise<void>;
	start(): Promise<void>;
}

export async function startNats(): Promise<TestNats> {
	const folder = await temporaryFolder();
	const [port = 0] = await freePorts(1);
	const { name, password } = natsUser;
	const args = ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", folder.path, "--user", name, "--pass", password];
	const server = await new RealServer({ program: program ?? "nats-server", args, port }).start();
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
