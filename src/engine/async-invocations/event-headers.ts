import type { LeasedMessage } from "../../core/message-log/message-log.ts";

/** What the log keeps of an asynchronous event beside its payload; a message's headers. */
export interface EventHeaders {
	/** The ARN exactly as it was addressed. */
	arn: string;
	qualifier?: string;
	/** X-Ray's header, with its lineage. */
	trace: string;
	/** Runs of this function in the chain of events, this one included. */
	hops: number;
	/** When the function was created: an event is not for a later one of the same name. Epoch milliseconds. */
	created: number;
	clientContext?: string;
	contentType?: string;
}

/** Written by this module alone. */
export function headersOf(message: LeasedMessage): EventHeaders {
	return message.headers as unknown as EventHeaders;
}
