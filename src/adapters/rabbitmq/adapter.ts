import type { BrokerAdapter } from "../../core/event-source/event-source.ts";
import { RabbitMqSink } from "./sink.ts";
import { RabbitMqSource } from "./source.ts";

/** Source options: {queue}. */
export const rabbitmqAdapter: BrokerAdapter = {
	source: (address, { queue = "" }) => new RabbitMqSource(address, queue),
	sink: (address) => new RabbitMqSink(address),
};
