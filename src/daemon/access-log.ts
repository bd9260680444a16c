import type { LogStore } from "../core/log/log-store.ts";
import type { AccessLog, AccessRecord } from "../front/gateway/ports.ts";

export const accessLogGroup = "/slipway/gateway/access";
/** What no service answered: routes to functions, hosts that are nobody's. */
const otherStream = "other";

/** The gateway's requests as lines of JSON, a stream for each service (`slipway logs --group /slipway/gateway/access`). */
export function accessLogIn(logs: Pick<LogStore, "append">): AccessLog {
	return {
		record: (record) => {
			const event = { timestamp: Date.parse(record.time), message: JSON.stringify(record) };
			logs.append(accessLogGroup, streamOf(record), [event]);
		},
	};
}

function streamOf({ namespace, service }: AccessRecord): string {
	return namespace === undefined || service === undefined ? otherStream : `${namespace}/${service}`;
}
