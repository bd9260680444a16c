/** A queue's message as a CloudEvent in HTTP's binary mode (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md). */
import type { Delivery } from "../../core/delivery/target.ts";
import type { SourceMessage } from "./ports.ts";

const type = "slipway.queue.message";

/** `partitionkey` is the group's (the Partitioning extension); `deliveryattempt` counts from 1 (ours). */
export function messageEvent(message: SourceMessage, queueArn: string): Pick<Delivery, "body" | "http"> {
	const attributes: Record<string, string | undefined> = {
		specversion: "1.0",
		id: message.id,
		source: queueArn,
		type,
		time: new Date(message.sentMs).toISOString(),
		partitionkey: message.groupId,
		deliveryattempt: String(message.receiveCount),
	};
	const headers: Record<string, string> = {
		"content-type": isJson(message.body) ? "application/json" : "text/plain; charset=utf-8",
	};
	for (const [name, value] of Object.entries(attributes))
		if (value !== undefined) headers[`ce-${name}`] = escaped(value);
	return { body: Buffer.from(message.body), http: { headers } };
}

/** 3.1.3.2: space, double quote, percent and what is not printable ASCII is percent-encoded. */
function escaped(value: string): string {
	return value.replace(/[^\x21-\x7e]|["%]/gu, (character) =>
		Array.from(Buffer.from(character), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
	);
}

function isJson(text: string): boolean {
	try {
		JSON.parse(text);
		return true;
	} catch {
		return false;
	}
}
