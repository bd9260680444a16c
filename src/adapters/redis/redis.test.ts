import { type BrokerFixture, eventSourceContract } from "../../core/event-source/event-source.contract.ts";
import type { BrokerAddress } from "../../core/event-source/event-source.ts";
import { redisAdapter } from "./adapter.ts";
import { connectRedis } from "./connection.ts";
import { RedisSource } from "./source.ts";
import { redisPassword, skipRedis, startRedis } from "./testing/server.ts";

/** Short, so that a test sees what is taken over. */
const claimIdleMs = 1000;

eventSourceContract("Redis streams", open, { skip: skipRedis, redeliveryMs: claimIdleMs });

async function open(): Promise<BrokerFixture> {
	const server = await startRedis();
	const address: BrokerAddress = {
		url: new URL(`redis://127.0.0.1:${server.port}`),
		password: redisPassword,
		ca: undefined,
		clientName: "slipway/test",
	};
	let made = 0;
	return {
		restart: () => server.restart(),
		async makeDestination() {
			const stream = `s${++made}`;
			const client = await connectRedis(address);
			await client.xgroup("CREATE", stream, "slipway", "0", "MKSTREAM");
			client.disconnect();
			return {
				destination: `stream/${stream}`,
				source: () => new RedisSource(address, { stream, group: "slipway", claimIdleMs }),
				sink: () => redisAdapter.sink(address),
				async dead() {
					const reader = await connectRedis(address);
					const entries = await reader.xrange(`${stream}.dead`, "-", "+");
					reader.disconnect();
					return entries.map(([, fields]) => fields[fields.indexOf("body") + 1] ?? "");
				},
			};
		},
		[Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
	};
}
