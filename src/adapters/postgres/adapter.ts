import type { BrokerAdapter } from "../../core/event-source/event-source.ts";
import { OutboxSource } from "./outbox-source.ts";
import { PostgresSink } from "./sink.ts";
import { SlotSource } from "./slot-source.ts";

/** Source options: {table, channel?}, or {slot, publication} for logical changes. */
export const postgresAdapter: BrokerAdapter = {
	source: (address, { table = "", channel, slot, publication = "" }) =>
		slot === undefined ? new OutboxSource(address, { table, channel }) : new SlotSource(address, { slot, publication }),
	sink: (address) => new PostgresSink(address),
};
