import { isSlipwayError, type SlipwayError } from "../../base/error.ts";
import { timeOrderedUuid } from "../../base/ids.ts";
import { laneOf } from "../../core/delivery/lane-name.ts";
import type { Delivery } from "../../core/delivery/target.ts";
import type { LeasedMessage, LogChange } from "../../core/message-log/message-log.ts";
import { FailureReports } from "../delivery/failure-reports.ts";
import type { TargetState } from "./catalog.ts";
import type { BusDeps } from "./ports.ts";
import type { BusStatistics } from "./types.ts";

export interface DeliveryFailure {
	/** https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html, ERROR_CODE. */
	code: string;
	message: string;
	permanent: boolean;
	retryAfterMs?: number | undefined;
}

/** Characters of an error in a dead letter's attributes and in the trail. */
const maxErrorLength = 1_000;

export function failureOf(error: SlipwayError): DeliveryFailure {
	const { code, reason, retryAfterMs } = error;
	const message = error.message.slice(0, maxErrorLength);
	if (reason === "RecursionDetected") return { code: "RECURSION_DETECTED", message, permanent: true };
	if (reason === "InvalidJson") return { code: "INVALID_JSON", message, permanent: true };
	switch (code) {
		case "NOT_FOUND":
			return { code: "NO_RESOURCE", message, permanent: true };
		case "FORBIDDEN":
		case "UNAUTHENTICATED":
			return { code: "NO_PERMISSIONS", message, permanent: true };
		case "INVALID":
		case "TOO_LARGE":
		case "UNSUPPORTED":
			return { code: "INVALID_PARAMETER", message, permanent: true };
		case "THROTTLED":
			return { code: "THROTTLING", message, permanent: false, retryAfterMs };
		case "EXHAUSTED":
			return { code: "RESOURCE_LIMIT_EXCEEDED", message, permanent: false, retryAfterMs };
		case "DEADLINE":
			return { code: "TIMEOUT", message, permanent: false, retryAfterMs };
		default:
			return { code: "ERROR_FROM_TARGET", message, permanent: false, retryAfterMs };
	}
}

export interface GivenUpEvent {
	message: LeasedMessage;
	target: TargetState;
	ruleArn: string;
}

type Why = DeliveryFailure & { exhausted: string | undefined; retries: number };

/**
 * Events that their target does not get: to its dead-letter queue, or dropped where it has none, and both are said. What a dead-letter
 * queue does not take (it is gone, the letter is longer than its messages may be) waits in the lane's own dead letters.
 */
export class GivenUp {
	readonly #deps: BusDeps & { statistics: BusStatistics };
	readonly #reports: FailureReports;

	constructor(deps: BusDeps & { statistics: BusStatistics }) {
		this.#deps = deps;
		this.#reports = new FailureReports(deps.logger, deps.clock);
	}

	changes(event: GivenUpEvent, why: Why): LogChange[] {
		const { message, target } = event;
		const { deadLetterArn } = target.record;
		const letter = deadLetterArn === undefined ? [] : this.#letter(event, deadLetterArn, why);
		const isKept = deadLetterArn !== undefined;
		if (isKept) this.#deps.statistics.deadLettered++;
		else {
			this.#deps.statistics.dropped++;
			const what = "An event was given up, and its target has no dead-letter queue";
			this.#reports.report(what, message.lane, why, message.correlation);
		}
		const detail = {
			errorCode: why.code,
			errorMessage: why.message.slice(0, maxErrorLength),
			...(isKept && { deadLetterArn }),
			...(why.exhausted !== undefined && { exhausted: why.exhausted }),
		};
		if (letter === undefined) {
			const lane = laneOf({ kind: "dead", of: message.lane });
			return [{ change: "settle", token: message.token, outcome: "move", lane, detail }];
		}
		const result = isKept ? "dead" : "dropped";
		return [{ change: "settle", token: message.token, outcome: "done", result, detail }, ...letter];
	}

	/** The event as the bus took it, and why in the attributes. Undefined when the queue does not take it. */
	#letter({ message, target, ruleArn }: GivenUpEvent, queueArn: string, why: Why): LogChange[] | undefined {
		const text = (value: string) => ({ dataType: "String", value: value.slice(0, maxErrorLength) }) as const;
		const delivery: Delivery = {
			id: timeOrderedUuid(this.#deps.clock.now(), this.#deps.ids),
			correlation: message.correlation ?? message.id,
			body: message.body,
			sourceArn: ruleArn,
			attributes: {
				RULE_ARN: text(ruleArn),
				TARGET_ARN: text(target.record.arn),
				ERROR_CODE: text(why.code),
				ERROR_MESSAGE: text(why.message || why.code),
				...(why.exhausted !== undefined && { EXHAUSTED_RETRY_CONDITION: text(why.exhausted) }),
				RETRY_ATTEMPTS: { dataType: "Number", value: String(why.retries) },
			},
		};
		try {
			const handover = this.#deps.targets.handOver(queueArn, delivery);
			return handover.kind === "append" ? handover.changes : undefined;
		} catch (error) {
			if (!isSlipwayError(error)) throw error;
			this.#reports.report("A dead-letter queue could not be used", message.lane, error, message.correlation);
			return undefined;
		}
	}
}
