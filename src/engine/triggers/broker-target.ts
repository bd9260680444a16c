import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { CallOutcome, Delivery, Handover, TargetKind } from "../../core/delivery/target.ts";
import type { Connections } from "./connections.ts";

const brokerArn = /^arn:slipway:broker:[a-z0-9-]*:\d*:([a-zA-Z0-9][a-zA-Z0-9_-]{0,63})\/(.{1,1000})$/s;

/** The first part of a destination, of each kind of broker. */
const destinations = {
	rabbitmq: /^(queue\/.+|exchange\/[^/]+\/.*)$/,
	nats: /^subject\/[^\s*>]+$/,
	redis: /^stream\/.+$/,
	postgres: /^table\/[a-zA-Z0-9_$.]+$/,
} as const;
const examples = {
	rabbitmq: "queue/NAME or exchange/NAME/ROUTINGKEY",
	nats: "subject/SUBJECT",
	redis: "stream/NAME",
	postgres: "table/NAME",
} as const;

/** Brokers outside as targets: `arn:slipway:broker:REGION:ACCOUNT:CONNECTION/DESTINATION`. The broker's confirm ends the delivery. */
export class BrokerTarget implements TargetKind {
	readonly #connections: Connections;

	constructor(deps: { connections: Connections }) {
		this.#connections = deps.connections;
	}

	owns(arn: string): boolean {
		return brokerArn.test(arn);
	}

	check(arn: string): void {
		const { connection, destination } = this.#parse(arn);
		const kind = this.#connections.kindOf(connection);
		if (!kind) throw new SlipwayError("NOT_FOUND", `There is no connection '${connection}'`);
		if (!destinations[kind].test(destination))
			throw new SlipwayError("INVALID", `'${destination}' is no destination of ${kind}: ${examples[kind]}`);
	}

	handOver(arn: string, delivery: Delivery): Handover {
		this.check(arn);
		const { connection, destination } = this.#parse(arn);
		return { kind: "call", run: (signal) => this.#publish(connection, destination, delivery, signal) };
	}

	async #publish(
		connection: string,
		destination: string,
		delivery: Delivery,
		signal: AbortSignal,
	): Promise<CallOutcome> {
		const { "content-type": contentType = "application/json", ...given } = delivery.http?.headers ?? {};
		const headers: Record<string, string> = { ...given };
		if (delivery.traceId !== undefined) headers[traceHeader] = delivery.traceId;
		const message = { destination, id: delivery.id, body: delivery.body, contentType, headers };
		try {
			await this.#connections.publish(connection, message, signal);
			return { ok: true, status: 200, headers: {}, body: new Uint8Array() };
		} catch (error) {
			const text = error instanceof Error ? error.message : String(error);
			// A destination that is not there may be made; one that is refused for good will not be taken later.
			const code = isSlipwayError(error) ? error.code : "UNAVAILABLE";
			return { ok: false, permanent: code === "INVALID", code, message: text };
		}
	}

	#parse(arn: string): { connection: string; destination: string } {
		const [, connection = "", destination = ""] = brokerArn.exec(arn) ?? [];
		return { connection, destination };
	}
}

/** Carries X-Ray's trace with its hops through a broker, so that a loop through one is found. */
export const traceHeader = "x-amzn-trace-id";
