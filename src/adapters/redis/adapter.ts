import type { BrokerAdapter } from "../../core/event-source/event-source.ts";
import { RedisSink } from "./sink.ts";
import { RedisSource } from "./source.ts";

/** Source options: {stream, group, deadLetterStream?}. */
export const redisAdapter: BrokerAdapter = {
	source: (address, { stream = "", group = "slipway", deadLetterStream }) =>
		new RedisSource(address, { stream, group, deadLetterStream }),
	sink: (address) => new RedisSink(address),
};
