import type { BrokerMessage } from "../../core/event-source/event-source.ts";
import type { StoredMessage } from "../../core/message-log/message-log.ts";

/** What is kept with the body. */
export function headersOf({ body: _, ...message }: BrokerMessage): Record<string, unknown> {
	return { message };
}

/** What `headersOf` made, back. */
export function brokerMessageOf({ body, headers }: Pick<StoredMessage, "body" | "headers">): BrokerMessage {
	const empty = { id: undefined, headers: {}, subject: "", publishedMs: undefined, contentType: undefined };
	const kept = headers.message as Omit<BrokerMessage, "body"> | undefined;
	return { ...empty, redelivered: false, properties: {}, ...kept, body };
}
