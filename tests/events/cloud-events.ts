/** CloudEvents in and out with the CloudEvents SDK for JavaScript on both sides. */
import assert from "node:assert/strict";
import { CloudEvent, HTTP, type Message } from "cloudevents";
import { cli } from "../services/service-client.ts";
import { rule } from "./bus.ts";
import { subscriber } from "./subscriber.ts";
import type { Clause, World } from "./world.ts";

function emit(w: World, bus: string, { headers, body }: Message): Promise<Response> {
	const authorization = `Bearer ${w.daemon.credentials.token}`;
	const init = {
		method: "POST",
		headers: { ...(headers as Record<string, string>), authorization },
		body: String(body),
	};
	return fetch(`${w.daemon.url}/_slipway/cloud-events/${bus}`, init);
}

const made = (id: string, more: Record<string, unknown> = {}) =>
	new CloudEvent({
		id,
		source: "/tide/gauges",
		type: "gauge.read",
		subject: "harbour",
		datacontenttype: "application/json",
		shard: "7",
		data: { cm: 412 },
		...more,
	});

export const cloudEventClauses: readonly Clause[] = [
	{
		says: "events of the SDK come in binary, structured and as a batch, and reach a service as they were",
		run: async (w) => {
			const service = await subscriber(w, "ce-service");
			await rule(w, "ce", "default", { source: ["/tide/gauges"] }, { Id: "service", Arn: service.arn("/ce") });
			for (const message of [HTTP.binary(made("binary")), HTTP.structured(made("structured"))]) {
				const answer = await emit(w, "default", message);
				assert.equal(answer.status, 202, await answer.text());
			}
			const batch = {
				headers: { "content-type": "application/cloudevents-batch+json" },
				body: JSON.stringify([made("batch-1"), made("batch-2")]),
			};
			assert.equal((await emit(w, "default", batch)).status, 202);
			const received = await service.received(4);
			const ids = received.map(({ event }) => event?.id);
			assert.deepEqual(ids.toSorted(), ["batch-1", "batch-2", "binary", "structured"], JSON.stringify(received));
			for (const { event } of received) {
				assert.deepEqual([event?.specversion, event?.source, event?.type], ["1.0", "/tide/gauges", "gauge.read"]);
				assert.deepEqual([event?.subject, event?.shard, event?.data], ["harbour", "7", { cm: 412 }]);
			}
		},
	},
	{
		says: "a rule's target may ask for the structured mode; a subscriber's reply is published",
		run: async (w) => {
			const [service, replies] = [await subscriber(w, "ce-reply"), await w.queue("ce-replies")];
			const HttpParameters = { HeaderParameters: { "slipway-event-format": "cloudevents-structured" } };
			const target = { Id: "service", Arn: service.arn("/reply"), HttpParameters };
			await rule(w, "ce-ask", "default", { source: ["/tide/asks"], "detail-type": ["Asked"] }, target);
			await rule(w, "ce-replied", "default", { "detail-type": ["Replied"] }, { Id: "queue", Arn: replies.arn });
			const message = HTTP.binary(made("asked", { source: "/tide/asks", type: "Asked" }));
			assert.equal((await emit(w, "default", message)).status, 202);
			const [received] = await service.received(1);
			assert.match(received?.contentType ?? "", /^application\/cloudevents\+json/);
			const [reply] = await w.values(replies, 1);
			assert.deepEqual([reply?.id, reply?.detail], ["asked-reply", { cm: 412 }]);
		},
	},
	{
		says: "a queue's messages reach a service as CloudEvents, and what it refuses is a dead letter",
		run: async (w) => {
			const [service, dead] = [await subscriber(w, "ce-queue"), await w.queue("ce-queue-dead")];
			const good = await w.queue("ce-queue");
			const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: dead.arn, maxReceiveCount: 1 });
			const bad = await w.queue("ce-queue-bad", { VisibilityTimeout: "1", RedrivePolicy });
			await cli(w.daemon, "queue", "trigger", good.name, "--service", "default/ce-queue/inbox");
			await cli(w.daemon, "queue", "trigger", bad.name, "--service", "default/ce-queue/fail");
			const { MessageId } = await w.send(good, { order: 7 });
			const [received] = await service.received(1);
			const { event, path } = received ?? assert.fail();
			assert.deepEqual([path, event?.id, event?.source], ["/inbox", MessageId, good.arn], JSON.stringify(received));
			assert.deepEqual(event?.data, { order: 7 });
			await w.send(bad, { order: 8 });
			assert.deepEqual(await w.values(dead, 1), [{ order: 8 }]);
		},
	},
	{
		says: "an event that is none is refused, and says what is missing",
		run: async (w) => {
			const headers = { "content-type": "application/cloudevents+json" };
			const answer = await emit(w, "default", { headers, body: '{"specversion":"1.0","id":"1","type":"t"}' });
			assert.equal(answer.status, 400);
			assert.match(await answer.text(), /source/);
			assert.equal((await emit(w, "no-such-bus", HTTP.binary(made("lost")))).status, 404);
		},
	},
];
