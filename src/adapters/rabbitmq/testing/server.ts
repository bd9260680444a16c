/** RabbitMQ from Debian's package, with a node name, ports and a folder of its own. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
	accepts,
	findProgram,
	freePorts,
	isExecutable,
	RealServer,
	temporaryFolder,
} from "../../../base/testing/real-server.ts";

const installed = "/usr/lib/rabbitmq/bin/rabbitmq-server";

export const skipRabbitMq = isExecutable(installed) ? false : "needs Debian's package rabbitmq-server";
export const rabbitUser = { name: "slipway", password: "s3cret-rabbit" };

export interface TestRabbitMq extends AsyncDisposable {
	port: number;
	restart(): Promise<void>;
	kill(): Promise<void>;
	start(): Promise<void>;
}

export async function startRabbitMq(): Promise<TestRabbitMq> {
	const folder = await temporaryFolder();
	const [port = 0, distribution = 0, epmdPort = 0] = await freePorts(3);
	const config = join(folder.path, "rabbitmq.conf");
	await writeFile(
		config,
		[
			`listeners.tcp.1 = 127.0.0.1:${port}`,
			`default_user = ${rabbitUser.name}`,
			`default_pass = ${rabbitUser.password}`,
			"log.console = true",
			"log.file = false",
		].join("\n"),
	);
	await writeFile(join(folder.path, "plugins"), "[].\n");
	// Its own epmd: the machine's may serve others, and would stay behind.
	const epmd = new RealServer({
		program: findProgram("epmd") ?? "epmd",
		args: ["-port", String(epmdPort), "-address", "127.0.0.1"],
		port: epmdPort,
	});
	const server = new RealServer({
		program: installed,
		args: [],
		port,
		cwd: folder.path,
		env: {
			HOME: folder.path,
			RABBITMQ_NODENAME: `slipway-test-${port}@localhost`,
			RABBITMQ_CONFIG_FILE: config,
			RABBITMQ_ENABLED_PLUGINS_FILE: join(folder.path, "plugins"),
			RABBITMQ_MNESIA_BASE: join(folder.path, "mnesia"),
			RABBITMQ_LOG_BASE: join(folder.path, "log"),
			RABBITMQ_DIST_PORT: String(distribution),
			RABBITMQ_PID_FILE: join(folder.path, "pid"),
			// Without it the node name's host is looked up on the network.
			RABBITMQ_USE_LONGNAME: "false",
			// Two schedulers: the machine's other cores are the test's own.
			RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "+S 2:2 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
			ERL_EPMD_PORT: String(epmdPort),
			ERL_EPMD_ADDRESS: "127.0.0.1",
		},
		ready: () => accepts(port),
	});
	await epmd.start();
	await server.start();
	return {
		port,
		restart: () => server.restart(),
		kill: () => server.kill(),
		start: async () => void (await server.start()),
		async [Symbol.asyncDispose]() {
			await server.kill();
			await epmd.kill();
			await folder[Symbol.asyncDispose]();
		},
	};
}
