/** A RabbitMQ of its own for the contract suite. */

import type { BrokerFixture } from "../../../core/event-source/event-source.contract.ts";
import type { BrokerAddress } from "../../../core/event-source/event-source.ts";
import { rabbitmqAdapter } from "../adapter.ts";
import { connectRabbitMq } from "../connection.ts";
import { rabbitUser, startRabbitMq } from "./server.ts";

/** It takes ten seconds to start again: tests of that are slow ones. */
export async function openRabbitMq({ restarts }: { restarts: boolean }): Promise<BrokerFixture> {
	const server = await startRabbitMq();
	const address: BrokerAddress = {
		url: new URL(`amqp://${rabbitUser.name}@127.0.0.1:${server.port}`),
		password: rabbitUser.password,
		ca: undefined,
		clientName: "slipway/test",
	};
	let made = 0;
	return {
		restart: restarts ? () => server.restart() : undefined,
		async makeDestination() {
			const queue = `q${++made}`;
			await withChannel(address, async (channel) => {
				await channel.assertQueue(`${queue}-dead`, { durable: true });
				await channel.assertQueue(queue, {
					durable: true,
					deadLetterExchange: "",
					deadLetterRoutingKey: `${queue}-dead`,
				});
			});
			return {
				destination: `queue/${queue}`,
				source: () => rabbitmqAdapter.source(address, { queue }),
				sink: () => rabbitmqAdapter.sink(address),
				dead: () => withChannel(address, (channel) => drainCopy(channel, `${queue}-dead`)),
			};
		},
		[Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
	};
}

type Channel = Awaited<ReturnType<Awaited<ReturnType<typeof connectRabbitMq>>["createChannel"]>>;

async function withChannel<T>(address: BrokerAddress, work: (channel: Channel) => Promise<T>): Promise<T> {
	const connection = await connectRabbitMq(address);
	try {
		return await work(await connection.createChannel());
	} finally {
		await connection.close();
	}
}

/** Unacknowledged ones go back when the channel closes. */
async function drainCopy(channel: Channel, queue: string): Promise<string[]> {
	const found: string[] = [];
	for (let message = await channel.get(queue); message; message = await channel.get(queue))
		found.push(message.content.toString());
	return found;
}
