/** CloudEvents over HTTP onto a bus: `POST /_slipway/cloud-events/BUS`, binary, structured or batched, with the API's token. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { isSlipwayError, SlipwayError, systemCode } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import { contentModeOf, isCloudEvent, readCloudEvents } from "../../core/cloud-event/http-binding.ts";
import { busEventOfCloudEvent } from "../../engine/bus/cloud-event-mapping.ts";
import type { BusEvent } from "../../engine/bus/types.ts";
import { readBody } from "../api/body.ts";
import { sendProblem, toProblem } from "../api/problem.ts";

type Published = { id: string } | { error: { code: string; message: string } };

export interface CloudEventsFrontDeps {
	/** On the disk when it resolves, one commit for all; NOT_FOUND for a bus that is not there. */
	publish(bus: string, events: readonly BusEvent[]): Promise<readonly Published[]>;
	/** The native API's bearer token. */
	token: string;
	ids: Ids;
	log: Log;
}

export const cloudEventsPath = "/_slipway/cloud-events/";

/** Bytes: an event of SQS's size; senders can count on 64 KiB (CloudEvents, "Size Limits"). */
const maxBodyBytes = 1_048_576;
const busPattern = /^[/.\-_A-Za-z0-9]{1,256}$/;

/** Whether the request is for `handle` and not for the rest of the API. */
export function isCloudEventsPath(url: string | undefined): boolean {
	return url?.startsWith(cloudEventsPath) ?? false;
}

/** The handler for node:http. Never rejects. */
export function cloudEventsFront(
	deps: CloudEventsFrontDeps,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
	const tokenHash = hash(deps.token);
	return async (request, response) => {
		const requestId = deps.ids.uuid();
		response.setHeader("slipway-request-id", requestId);
		try {
			const bus = busOf(request.url ?? "");
			authorize(request, tokenHash);
			if (request.method === "OPTIONS") return shakeHands(request, response);
			if (request.method !== "POST") return void response.writeHead(405, { allow: "POST, OPTIONS" }).end();
			if (!isCloudEvent(headersOf(request)) && request.headers["content-type"] !== undefined) throw unsupportedMedia();
			await take(deps, bus, request, response);
		} catch (error) {
			if (request.destroyed && ["ECONNRESET", "ABORT_ERR"].includes(systemCode(error) ?? "")) return;
			const problem = toProblem(error, requestId, deps.log);
			const isMedia = isSlipwayError(error) && error.reason === "UnsupportedMediaType";
			sendProblem(response, isMedia ? { ...problem, status: 415 } : problem, error);
		}
	};
}

async function take(
	deps: CloudEventsFrontDeps,
	bus: string,
	request: IncomingMessage,
	response: ServerResponse,
): Promise<void> {
	const headers = headersOf(request);
	const events = readCloudEvents({ headers, body: await readBody(request, maxBodyBytes) });
	const results =
		events.length === 0
			? []
			: await deps.publish(
					bus,
					events.map((event) => busEventOfCloudEvent(event)),
				);
	const refusals = results.flatMap((result) => ("error" in result ? [result.error] : []));
	const [first] = refusals;
	if (first && contentModeOf(headers) !== "batched")
		throw new SlipwayError("INVALID", first.message, { reason: first.code });
	// Some of a batch may be on the bus: whoever sends all of it again would have those twice.
	send(response, first ? 207 : 202, { results });
}

/** https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md#4-abuse-protection */
function shakeHands(request: IncomingMessage, response: ServerResponse): void {
	const { "webhook-request-origin": origin, "webhook-request-rate": rate } = request.headers;
	if (typeof origin !== "string" || origin === "")
		throw new SlipwayError("INVALID", "The header WebHook-Request-Origin is missing");
	response
		.writeHead(200, {
			allow: "POST",
			"webhook-allowed-origin": origin,
			...(rate !== undefined && { "webhook-allowed-rate": "*" }),
			"content-length": 0,
		})
		.end();
}

function busOf(url: string): string {
	const [path = ""] = url.slice(cloudEventsPath.length).split("?", 1);
	let bus = "";
	try {
		bus = decodeURIComponent(path);
	} catch {
		// Not percent-encoded text: refused below, as no bus has such a name.
	}
	if (!busPattern.test(bus))
		throw new SlipwayError("INVALID", "The path does not name a bus", { hint: `POST ${cloudEventsPath}default` });
	return bus;
}

function headersOf(request: IncomingMessage): Record<string, string | undefined> {
	return Object.fromEntries(
		Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : value]),
	);
}

function unsupportedMedia(): SlipwayError {
	return new SlipwayError(
		"INVALID",
		"The request is no CloudEvent: it has neither ce-specversion nor a type of CloudEvents",
		{
			reason: "UnsupportedMediaType",
			hint: "Send ce-specversion, ce-id, ce-source and ce-type, or application/cloudevents+json",
		},
	);
}

function send(response: ServerResponse, status: number, body: unknown): void {
	const text = `${JSON.stringify(body)}\n`;
	response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
	response.end(text);
}

function hash(text: string): Buffer {
	return createHash("sha256").update(text).digest();
}

/** Hashes are compared, so that neither length nor content shows in the time it takes. */
function authorize(request: IncomingMessage, tokenHash: Buffer): void {
	const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
	if (given !== undefined && timingSafeEqual(hash(given), tokenHash)) return;
	throw new SlipwayError("UNAUTHENTICATED", "The request does not carry this daemon's bearer token", {
		hint: "`slipway env` prints the token as SLIPWAY_TOKEN; send `Authorization: Bearer TOKEN`",
	});
}
