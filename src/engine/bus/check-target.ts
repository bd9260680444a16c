import { SlipwayError } from "../../base/error.ts";
import { cloudEventProfiles } from "../../core/cloud-event/delivery.ts";
import type { TargetRecord } from "./types.ts";

/** Chooses in which form a service gets its events; its value is one of `cloudEventProfiles`. Not sent on. */
export const formatHeader = "slipway-event-format";

/** What HTTP itself or the event's delivery sets. */
const ownHeaders: ReadonlySet<string> = new Set(
	`connection content-length expect host keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer
	transfer-encoding upgrade`.split(/\s+/),
);
/** API_HttpParameters: "HeaderParameters", keys and values. */
const headerName = /^[!#$%&'*+.^_`|~0-9a-zA-Z-]{1,512}$/;
const headerValue = /^[\t\x20-\x7E]*$/;
/** Parameters of a target, of each kind; API_HttpParameters has no bound, EventBridge's own is 100. */
const maxParameters = 100;
const maxValueLength = 512;

/** INVALID: what could not be delivered is refused before there is anything to deliver. */
export function checkParameters({ id, arn, messageGroupId, http }: TargetRecord): void {
	if (arn.includes(":sqs:") && arn.endsWith(".fifo") && !messageGroupId)
		throw refused(`SqsParameters must be specified for target: ${id}.`);
	for (const [name, value] of Object.entries(http?.headers ?? {})) checkHeader(id, name.toLowerCase(), value);
	const parameters = [http?.headers, http?.query, http?.pathValues].map((one) => Object.keys(one ?? {}).length);
	if (parameters.some((count) => count > maxParameters))
		throw refused(`HttpParameters has more than ${maxParameters} entries for target: ${id}.`);
}

function checkHeader(id: string, name: string, value: string): void {
	if (!headerName.test(name) || ownHeaders.has(name))
		throw refused(
			`HttpParameters.HeaderParameters has the name '${name.slice(0, 100)}', which can't be set, for target: ${id}.`,
		);
	if (value.length > maxValueLength || !headerValue.test(value))
		throw refused(
			`HttpParameters.HeaderParameters has a value that no header can have in '${name}' for target: ${id}.`,
		);
	if (name === formatHeader && !cloudEventProfiles.some((one) => one === value))
		throw refused(`The header ${formatHeader} must be one of ${cloudEventProfiles.join(", ")} for target: ${id}.`);
}

function refused(message: string): SlipwayError {
	return new SlipwayError("INVALID", `Parameter(s) not valid. Reason: ${message}`);
}
