/** Where an event of the run is, in each form that it takes on its way. */

/** Lambda's own payload, EventBridge's envelope, or SQS's batch. */
export interface LambdaEvent {
	id?: string;
	detail?: { id: string };
	Records?: { messageId: string; body: string }[];
}

/** Of a message's body, an invocation's payload, or a bus's envelope. */
export function idOf(body: string): string {
	const event = JSON.parse(body) as LambdaEvent;
	return event.detail?.id ?? event.id ?? "";
}

/** Of an on-failure destination's record: the event is in it. */
export function idOfRecord(body: string): string {
	const { requestPayload } = JSON.parse(body) as { requestPayload: LambdaEvent };
	return requestPayload.detail?.id ?? requestPayload.id ?? "";
}
