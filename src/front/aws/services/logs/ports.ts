import type * as sdk from "@aws-sdk/client-cloudwatch-logs";
import type { Clock } from "../../../../base/clock.ts";
import type { Ids } from "../../../../base/ids.ts";
import type { LogStore } from "../../../../core/log/log-store.ts";
import type { Handlers } from "../../service.ts";

/** What the CloudWatch Logs API needs. */
export interface LogsDeps {
	logs: LogStore;
	clock: Clock;
	ids: Pick<Ids, "uuid">;
}

export type LogsHandlers = Handlers<typeof sdk>;
