import type * as sdk from "@aws-sdk/client-sqs";
import type { Queues } from "../../../../engine/queues/queues.ts";
import type { Handlers } from "../../service.ts";

/** What the SQS API needs. */
export interface SqsDeps {
	queues: Queues;
}

export type SqsHandlers = Handlers<typeof sdk>;
