import { SlipwayError } from "../../base/error.ts";
import type { Delivery } from "../../core/delivery/target.ts";

/** Something to hand over, without what all of a tick's deliveries share. */
export interface Call extends Pick<Delivery, "event" | "messageGroupId"> {
	arn: string;
	body: string;
}

export interface Account {
	region: string;
	accountId: string;
}

const prefix = "arn:aws:scheduler:::aws-sdk:";
/** PutEvents: "up to 10 entries". */
const maxEntries = 10;

type Operation = (input: Members, account: Account) => Call[];

/** https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html: an SDK's operation, its request in the input. */
const operations: Readonly<Record<string, Operation>> = {
	"lambda:invoke": invoke,
	"sqs:sendMessage": sendMessage,
	"eventbridge:putEvents": putEvents,
};

export function isUniversal(arn: string): boolean {
	return arn.startsWith(prefix);
}

/** INVALID for operations that can't be called here, and for inputs that are not their requests. */
export function universalCalls(arn: string, input: string, account: Account): Call[] {
	const name = arn.slice(prefix.length);
	if (!Object.hasOwn(operations, name))
		throw new SlipwayError("INVALID", `The universal target ${name.slice(0, 100)} is not supported by Slipway`, {
			hint: `Supported are ${Object.keys(operations).join(", ")}`,
		});
	return operations[name]!(new Members(name, parsed(name, input)), account);
}

function invoke(input: Members, { region, accountId }: Account): Call[] {
	const name = input.text("FunctionName");
	const qualifier = input.optionalText("Qualifier");
	input.oneOf("InvocationType", ["Event", "RequestResponse"]);
	const payload = input.optionalText("Payload") ?? "{}";
	input.end();
	const arn = name.startsWith("arn:") ? name : `arn:aws:lambda:${region}:${accountId}:function:${name}`;
	return [{ arn: qualifier ? `${arn}:${qualifier}` : arn, body: payload }];
}

function sendMessage(input: Members, { region, accountId }: Account): Call[] {
	const queue = input.text("QueueUrl").split("/").at(-1) ?? "";
	const body = input.text("MessageBody");
	const messageGroupId = input.optionalText("MessageGroupId");
	input.end();
	return [{ arn: `arn:aws:sqs:${region}:${accountId}:${queue}`, body, ...(messageGroupId && { messageGroupId }) }];
}

function putEvents(input: Members, account: Account): Call[] {
	const entries = input.list("Entries");
	input.end();
	if (entries.length < 1 || entries.length > maxEntries)
		throw new SlipwayError("INVALID", `eventbridge:putEvents: Entries has 1 to ${maxEntries} items`);
	return entries.map((entry) => busCall(new Members("eventbridge:putEvents", entry), account));
}

function busCall(entry: Members, { region, accountId }: Account): Call {
	const bus = entry.optionalText("EventBusName") ?? "default";
	const source = entry.text("Source");
	const detailType = entry.text("DetailType");
	const body = entry.text("Detail");
	const resources = entry.list("Resources", []).filter((item) => typeof item === "string");
	entry.end();
	const arn = bus.startsWith("arn:") ? bus : `arn:aws:events:${region}:${accountId}:event-bus/${bus}`;
	return { arn, body, event: { source, detailType, resources } };
}

function parsed(name: string, input: string): unknown {
	try {
		return JSON.parse(input);
	} catch {
		throw new SlipwayError("INVALID", `The input of ${name} is not JSON`);
	}
}

/** Members of a request; one that nobody asked for is refused, as it would be lost. */
class Members {
	readonly #name: string;
	readonly #left: Map<string, unknown>;

	constructor(name: string, value: unknown) {
		this.#name = name;
		if (typeof value !== "object" || value === null || Array.isArray(value)) throw this.#refused("it is no object");
		this.#left = new Map(Object.entries(value));
	}

	text(member: string): string {
		const value = this.optionalText(member);
		if (value === undefined) throw this.#refused(`${member} is missing`);
		return value;
	}

	optionalText(member: string): string | undefined {
		const value = this.#take(member);
		if (value !== undefined && typeof value !== "string") throw this.#refused(`${member} is not a string`);
		return value;
	}

	oneOf(member: string, values: readonly string[]): void {
		const value = this.optionalText(member);
		if (value !== undefined && !values.includes(value))
			throw this.#refused(`${member} must be one of ${values.join(", ")}`);
	}

	list(member: string, otherwise?: unknown[]): unknown[] {
		const value = this.#take(member) ?? otherwise;
		if (!Array.isArray(value)) throw this.#refused(`${member} is not a list`);
		return value;
	}

	end(): void {
		const [member] = this.#left.keys();
		if (member !== undefined) throw this.#refused(`${member} is not supported`);
	}

	#take(member: string): unknown {
		const value = this.#left.get(member);
		this.#left.delete(member);
		return value;
	}

	#refused(why: string): SlipwayError {
		return new SlipwayError("INVALID", `The input of ${this.#name} can't be used: ${why}`);
	}
}
