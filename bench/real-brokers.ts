/** Brokers of Debian's packages that a bench sends to: started for it, their files on the same disk as a daemon's home. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connectRabbitMq } from "../src/adapters/rabbitmq/connection.ts";
import { rabbitUser, skipRabbitMq, startRabbitMq } from "../src/adapters/rabbitmq/testing/server.ts";
import { redisPassword, skipRedis, startRedis } from "../src/adapters/redis/testing/server.ts";

/** `open` gives one function for each client: it sends a message, and resolves when it is safe. */
export interface Sender extends AsyncDisposable {
	open: () => Promise<(() => Promise<unknown>)[]>;
}

/** Why there is none in place of it. */
interface MaybeSender extends AsyncDisposable {
	sender: Sender | string;
}

const none = (why: string): MaybeSender => ({ sender: why, async [Symbol.asyncDispose]() {} });

/** A connection and a confirm channel for each client; persistent messages to one durable queue. */
export async function openRabbitMqSender(clients: number, payload: string): Promise<MaybeSender> {
	if (skipRabbitMq !== false) return none(skipRabbitMq);
	const server = await startRabbitMq();
	const url = new URL(`amqp://${rabbitUser.name}@127.0.0.1:${server.port}`);
	const address = { url, password: rabbitUser.password, ca: undefined, clientName: "slipway-bench" };
	const connections = await Promise.all(Array.from({ length: clients }, () => connectRabbitMq(address)));
	const channels = await Promise.all(connections.map((connection) => connection.createConfirmChannel()));
	await channels[0]?.assertQueue("bench", { durable: true });
	const content = Buffer.from(payload);
	const senders = channels.map(
		(channel) => () =>
			new Promise<void>((resolve, reject) => {
				channel.sendToQueue("bench", content, { persistent: true }, (error) => (error ? reject(error) : resolve()));
			}),
	);
	const sender: Sender = { open: async () => senders, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
	return { sender, [Symbol.asyncDispose]: () => sender[Symbol.asyncDispose]() };
}

/** The replies of XADD are one line: "$LENGTH\r\nID\r\n". */
class RedisConnection {
	readonly #socket: Socket;
	#held = "";
	#waiting: { resolve: (reply: string) => void; reject: (error: Error) => void } | undefined;

	private constructor(socket: Socket) {
		this.#socket = socket;
		socket.setNoDelay(true);
		socket.setEncoding("latin1").on("data", (text: string) => this.#receive(text));
		socket.on("error", (error) => this.#waiting?.reject(error));
	}

	static async open(port: number): Promise<RedisConnection> {
		const socket = connect(port, "127.0.0.1");
		await once(socket, "connect");
		return new RedisConnection(socket);
	}

	send(command: Buffer): Promise<string> {
		return new Promise((resolve, reject) => {
			this.#waiting = { resolve, reject };
			this.#socket.write(command);
		});
	}

	close(): void {
		this.#socket.destroy();
	}

	#receive(text: string): void {
		this.#held += text;
		const lines = this.#held.startsWith("$") ? 2 : 1;
		if (this.#held.split("\r\n").length <= lines) return;
		const [reply, waiting] = [this.#held, this.#waiting];
		this.#held = "";
		this.#waiting = undefined;
		if (reply.startsWith("-")) waiting?.reject(new Error(`Redis said ${reply}`));
		else waiting?.resolve(reply);
	}
}

/** https://redis.io/docs/latest/develop/reference/protocol-spec/ */
function redisCommand(...words: string[]): Buffer {
	const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
	return Buffer.from(`*${words.length}\r\n${parts.join("")}`);
}

/** A connection for each client; all add to one stream. */
export async function openRedisSender(clients: number, payload: string): Promise<MaybeSender> {
	if (skipRedis !== false) return none(skipRedis);
	const server = await startRedis();
	const connections = await Promise.all(Array.from({ length: clients }, () => RedisConnection.open(server.port)));
	for (const connection of connections) await connection.send(redisCommand("AUTH", redisPassword));
	const command = redisCommand("XADD", "bench", "*", "body", payload);
	const sender: Sender = {
		open: async () => connections.map((connection) => () => connection.send(command)),
		async [Symbol.asyncDispose]() {
			for (const connection of connections) connection.close();
			await server[Symbol.asyncDispose]();
		},
	};
	return { sender, [Symbol.asyncDispose]: () => sender[Symbol.asyncDispose]() };
}
