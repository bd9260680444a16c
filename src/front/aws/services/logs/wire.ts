import { isSlipwayError } from "../../../../base/error.ts";
import type { LogCursor } from "../../../../core/log/log-store.ts";
import { AwsError } from "../../errors.ts";
import type { Call } from "../../service.ts";

export function invalidParameter(message: string): AwsError {
	return new AwsError("InvalidParameterException", 400, message);
}

export function notFound(what: "log group" | "log stream"): AwsError {
	return new AwsError("ResourceNotFoundException", 400, `The specified ${what} does not exist.`);
}

/** Gives the store's NOT_FOUND and ALREADY_EXISTS the service's words. */
export async function inAwsWords<T>(what: "log group" | "log stream", work: Promise<T>): Promise<T> {
	try {
		return await work;
	} catch (error) {
		if (isSlipwayError(error, "NOT_FOUND"))
			throw notFound(error.reason === "LogStreamUnknown" ? "log stream" : "log group");
		if (isSlipwayError(error, "ALREADY_EXISTS"))
			throw new AwsError("ResourceAlreadyExistsException", 400, `The specified ${what} already exists`);
		throw error;
	}
}

export function groupArn(group: string, call: Pick<Call, "region" | "accountId">): string {
	return `arn:aws:logs:${call.region}:${call.accountId}:log-group:${group}`;
}

const arnPattern = /^arn:aws[a-z-]*:logs:[a-z0-9-]*:(\d{12}):log-group:([^:*]+)(:\*)?$/;

/** The group's name in an ARN of this account's, with or without ":*" behind it. */
export function groupOfArn(arn: string, call: Pick<Call, "accountId">): string {
	const [, account, group] = arnPattern.exec(arn) ?? [];
	if (group === undefined) throw invalidParameter(`The specified resource ARN '${arn}' is invalid.`);
	if (account !== call.accountId) throw notFound("log group");
	return group;
}

interface NamesGroup {
	logGroupName?: string | undefined;
	logGroupIdentifier?: string | undefined;
}

/** Exactly one of name and identifier; an identifier is a name or an ARN. */
export function groupOf(input: NamesGroup, call: Pick<Call, "accountId">): string {
	const { logGroupName, logGroupIdentifier } = input;
	if ((logGroupName === undefined) === (logGroupIdentifier === undefined))
		throw invalidParameter("Exactly one of logGroupName and logGroupIdentifier must be specified.");
	return logGroupName ?? groupOfIdentifier(logGroupIdentifier!, call);
}

export function groupOfIdentifier(identifier: string, call: Pick<Call, "accountId">): string {
	return identifier.startsWith("arn:") ? groupOfArn(identifier, call) : identifier;
}

/** Digits of an event's id in the cloud; it sorts as the events do. */
const idDigits = 56;
const timestampDigits = 14;

export function eventId({ timestamp, sequence }: LogCursor): string {
	const time = String(timestamp).padStart(timestampDigits, "0");
	return `${time}${String(sequence).padStart(idDigits - timestampDigits, "0")}`;
}

/** Undefined for what `eventId` did not make. */
export function cursorOf(id: string): LogCursor | undefined {
	if (!/^\d{56}$/.test(id)) return undefined;
	const timestamp = Number(id.slice(0, timestampDigits));
	const sequence = Number(id.slice(timestampDigits));
	return Number.isSafeInteger(sequence) ? { timestamp, sequence } : undefined;
}

/** An opaque token of what a listing needs to go on. */
export function writeToken(place: readonly (string | number)[]): string {
	return Buffer.from(JSON.stringify(place)).toString("base64url");
}

/** `kinds`: the types of the values, in order. */
export function readToken(token: string, kinds: readonly ("string" | "number")[]): (string | number)[] {
	let place: unknown;
	try {
		place = JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
	} catch {
		throw invalidToken();
	}
	const isOurs =
		Array.isArray(place) && place.length === kinds.length && kinds.every((kind, i) => typeof place[i] === kind);
	if (!isOurs) throw invalidToken();
	return place as (string | number)[];
}

export function invalidToken(): AwsError {
	return invalidParameter("The specified nextToken is invalid.");
}
