import { eventSourceContract } from "./event-source.contract.ts";
import { FakeBroker } from "./fake-broker.ts";

eventSourceContract("fake", async () => {
	const broker = new FakeBroker();
	let made = 0;
	return {
		restart: async () => broker.cut(),
		async makeDestination() {
			const place = `p${++made}`;
			broker.makePlace(place);
			return {
				destination: `queue/${place}`,
				source: () => broker.source(place),
				sink: () => broker.sink(),
				dead: async () => broker.dead(place).map(({ body }) => Buffer.from(body).toString()),
			};
		},
		async [Symbol.asyncDispose]() {},
	};
});
