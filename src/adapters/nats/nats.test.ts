import { jetstreamManager } from "@nats-io/jetstream";
import { type BrokerFixture, eventSourceContract } from "../../core/event-source/event-source.contract.ts";
import type { BrokerAddress } from "../../core/event-source/event-source.ts";
import { natsAdapter } from "./adapter.ts";
import { connectNats } from "./connection.ts";
import { NatsSource } from "./source.ts";
import { natsUser, skipNats, startNats } from "./testing/server.ts";

/** Short, so that a test sees what comes again. */
const ackWaitMs = 1500;

eventSourceContract("NATS JetStream", open, { skip: skipNats, redeliveryMs: ackWaitMs });

async function open(): Promise<BrokerFixture> {
	const server = await startNats();
	const address: BrokerAddress = {
		url: new URL(`nats://${natsUser.name}@127.0.0.1:${server.port}`),
		password: natsUser.password,
		ca: undefined,
		clientName: "slipway/test",
	};
	let made = 0;
	return {
		restart: () => server.restart(),
		async makeDestination() {
			const stream = `S${++made}`;
			await withManager(address, async (manager) => {
				await manager.streams.add({ name: stream, subjects: [`${stream}.in`] });
				await manager.streams.add({ name: `${stream}-dead`, subjects: [`${stream}.dead`] });
			});
			const options = { stream, durable: "slipway", deadLetterSubject: `${stream}.dead`, ackWaitMs };
			return {
				destination: `subject/${stream}.in`,
				source: () => new NatsSource(address, options),
				sink: () => natsAdapter.sink(address),
				dead: () => withManager(address, (manager) => bodiesOf(manager, `${stream}-dead`)),
			};
		},
		[Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
	};
}

type Manager = Awaited<ReturnType<typeof jetstreamManager>>;

async function withManager<T>(address: BrokerAddress, work: (manager: Manager) => Promise<T>): Promise<T> {
	const connection = await connectNats(address);
	try {
		return await work(await jetstreamManager(connection));
	} finally {
		await connection.close();
	}
}

async function bodiesOf(manager: Manager, stream: string): Promise<string[]> {
	const { last_seq: last } = (await manager.streams.info(stream)).state;
	const found: string[] = [];
	for (let seq = 1; seq <= last; seq++)
		found.push(Buffer.from((await manager.streams.getMessage(stream, { seq }))?.data ?? []).toString());
	return found;
}
