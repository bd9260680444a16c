import type { Targets } from "../../core/delivery/target.ts";
import type { BrokerMessage } from "../../core/event-source/event-source.ts";
import type { LogChange } from "../../core/message-log/message-log.ts";
import { deadLetterLane, type Trigger } from "../../core/trigger/trigger.ts";
import { headersOf } from "./stored-message.ts";
import type { Numbered } from "./trigger-target.ts";

/** Characters of a reason that is kept: SQS counts attributes in a message's size. */
const maxReason = 1000;

/** What keeps a message that could not be delivered: as a message of the trigger's queue, or of its own lane. */
export function deadLetterChanges(
	trigger: Trigger,
	arn: string,
	{ message, id }: Numbered,
	reason: string,
	targets: Targets,
): LogChange[] {
	const { deadLetter } = trigger;
	const words = shortReason(reason);
	if (deadLetter === undefined || deadLetter === "broker")
		return [
			{
				change: "append",
				lane: deadLetterLane(trigger.name),
				id,
				body: message.body,
				headers: { ...headersOf(message), reason: words, target: trigger.target },
			},
		];
	const handover = targets.handOver(deadLetter, {
		id,
		correlation: id,
		body: textBody(message),
		sourceArn: arn,
		attributes: {
			ErrorMessage: { dataType: "String", value: words },
			TriggerArn: { dataType: "String", value: arn },
			TargetArn: { dataType: "String", value: trigger.target },
		},
	});
	if (handover.kind !== "append") throw new Error(`The dead letters of trigger ${trigger.name} go to what is no queue`);
	return handover.changes;
}

export function shortReason(reason: string): string {
	return reason.slice(0, maxReason).replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd]/gu, "\ufffd") || "unknown";
}

/** A queue's messages are text: bytes that are none go as base64 in JSON. */
function textBody(message: BrokerMessage): Uint8Array {
	try {
		new TextDecoder("utf-8", { fatal: true }).decode(message.body);
		return message.body;
	} catch {
		const data = Buffer.from(message.body).toString("base64");
		return Buffer.from(JSON.stringify({ data_base64: data, contentType: message.contentType ?? null }));
	}
}
