/** Real brokers for the kill tests: each with one place that messages are published to and consumed from. */
import { jetstreamManager } from "@nats-io/jetstream";
import { connectNats } from "../../src/adapters/nats/connection.ts";
import { NatsSink } from "../../src/adapters/nats/sink.ts";
import { NatsSource } from "../../src/adapters/nats/source.ts";
import { natsUser, skipNats, startNats } from "../../src/adapters/nats/testing/server.ts";
import { OutboxSource } from "../../src/adapters/postgres/outbox-source.ts";
import { outboxTableSql } from "../../src/adapters/postgres/outbox-table.ts";
import { PostgresSink } from "../../src/adapters/postgres/sink.ts";
import { skipPostgres, startPostgres } from "../../src/adapters/postgres/testing/server.ts";
import { connectRabbitMq } from "../../src/adapters/rabbitmq/connection.ts";
import { RabbitMqSink } from "../../src/adapters/rabbitmq/sink.ts";
import { RabbitMqSource } from "../../src/adapters/rabbitmq/source.ts";
import { rabbitUser, skipRabbitMq, startRabbitMq } from "../../src/adapters/rabbitmq/testing/server.ts";
import { connectRedis } from "../../src/adapters/redis/connection.ts";
import { RedisSink } from "../../src/adapters/redis/sink.ts";
import { RedisSource } from "../../src/adapters/redis/source.ts";
import { redisPassword, skipRedis, startRedis } from "../../src/adapters/redis/testing/server.ts";
import type { BrokerAddress, EventSink, EventSource } from "../../src/core/event-source/event-source.ts";

export interface KillableBroker extends AsyncDisposable {
	address: BrokerAddress;
	kill(): Promise<void>;
	start(): Promise<void>;
}

/** Of one broker as triggers and targets name it. */
export interface Place {
	source: Readonly<Record<string, string>>;
	destination: string;
}

export interface Places extends Record<PlaceName, Place> {
	/** Whether the test's server looks at passwords. */
	refusesPasswords: boolean;
}

export interface BrokerKit {
	skip: string | false;
	open(): Promise<KillableBroker>;
	destination: string;
	places: Places;
	sink(address: BrokerAddress): EventSink;
	source(address: BrokerAddress): EventSource;
}

/** Short: a consumer that was killed holds its messages back so long. */
const holdMs = 1000;

const placeNames = ["work", "inbox", "out"] as const;
export type PlaceName = (typeof placeNames)[number];

function placesOf(place: (name: string) => Place): Places {
	return { work: place("work"), inbox: place("inbox"), out: place("out"), refusesPasswords: true };
}

function addressOf(url: string, password: string): BrokerAddress {
	return { url: new URL(url), password, ca: undefined, clientName: "slipway/kills" };
}

export const brokers: Readonly<Record<string, BrokerKit>> = {
	rabbitmq: {
		skip: skipRabbitMq,
		destination: "queue/work",
		places: placesOf((name) => ({ source: { queue: name }, destination: `queue/${name}` })),
		async open() {
			const server = await startRabbitMq();
			const address = addressOf(`amqp://${rabbitUser.name}@127.0.0.1:${server.port}`, rabbitUser.password);
			const connection = await connectRabbitMq(address);
			const channel = await connection.createChannel();
			for (const name of placeNames) await channel.assertQueue(name, { durable: true });
			await connection.close();
			return Object.assign(server, { address });
		},
		sink: (address) => new RabbitMqSink(address),
		source: (address) => new RabbitMqSource(address, "work"),
	},
	nats: {
		skip: skipNats,
		destination: "subject/work",
		places: placesOf((name) => ({ source: { stream: name }, destination: `subject/${name}` })),
		async open() {
			const server = await startNats();
			const address = addressOf(`nats://${natsUser.name}@127.0.0.1:${server.port}`, natsUser.password);
			const connection = await connectNats(address);
			const { streams } = await jetstreamManager(connection);
			for (const name of placeNames) await streams.add({ name, subjects: [name] });
			await connection.close();
			return Object.assign(server, { address });
		},
		sink: (address) => new NatsSink(address),
		source: (address) => new NatsSource(address, { stream: "work", durable: "slipway", ackWaitMs: holdMs }),
	},
	redis: {
		skip: skipRedis,
		destination: "stream/work",
		places: placesOf((name) => ({ source: { stream: name }, destination: `stream/${name}` })),
		async open() {
			const server = await startRedis();
			const address = addressOf(`redis://127.0.0.1:${server.port}`, redisPassword);
			const client = await connectRedis(address);
			await client.xgroup("CREATE", "work", "slipway", "0", "MKSTREAM");
			client.disconnect();
			return Object.assign(server, { address });
		},
		sink: (address) => new RedisSink(address),
		source: (address) => new RedisSource(address, { stream: "work", group: "slipway", claimIdleMs: holdMs }),
	},
	postgres: {
		skip: skipPostgres,
		destination: "table/work",
		places: {
			...placesOf((name) => ({ source: { table: name }, destination: `table/${name}` })),
			refusesPasswords: false,
		},
		async open() {
			const server = await startPostgres();
			for (const name of placeNames) await server.query(outboxTableSql(name, name));
			return server;
		},
		sink: (address) => new PostgresSink(address),
		source: (address) => new OutboxSource(address, { table: "work" }),
	},
};
