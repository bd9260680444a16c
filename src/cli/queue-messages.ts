/** Messages of a queue as text. */
import type { MessageView } from "../client/event-schema.ts";
import { age, cell } from "./event-text.ts";
import { table } from "./format.ts";

export function messageTable(messages: readonly MessageView[]): string {
	const rows = messages.map(({ id, state, receiveCount, sentMs, group, body }) => [
		id,
		state === "leased" ? "in flight" : state,
		String(receiveCount),
		age(sentMs),
		group ?? "",
		cell(body),
	]);
	return table(["ID", "STATE", "RECEIVES", "AGE", "GROUP", "BODY"], rows);
}
