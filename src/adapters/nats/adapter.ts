import type { BrokerAdapter } from "../../core/event-source/event-source.ts";
import { NatsSink } from "./sink.ts";
import { NatsSource } from "./source.ts";

/** Source options: {stream, durable, subject?, deadLetterSubject?}. */
export const natsAdapter: BrokerAdapter = {
	source: (address, { stream = "", durable = "slipway", subject, deadLetterSubject }) =>
		new NatsSource(address, { stream, durable, subject, deadLetterSubject }),
	sink: (address) => new NatsSink(address),
};
