/** The bus through the AWS SDK v3: rules to queues, functions, buses and services; archive, replay, dead letters. */
import assert from "node:assert/strict";
import {
	CreateArchiveCommand,
	CreateEventBusCommand,
	DescribeArchiveCommand,
	DescribeReplayCommand,
	PutEventsCommand,
	PutRuleCommand,
	PutTargetsCommand,
	StartReplayCommand,
	type Target,
	TestEventPatternCommand,
} from "@aws-sdk/client-eventbridge";
import { subscriber } from "./subscriber.ts";
import { type Clause, until, type World } from "./world.ts";

export async function rule(w: World, name: string, bus: string, pattern: unknown, ...targets: Target[]): Promise<void> {
	const EventPattern = JSON.stringify(pattern);
	await w.eventBridge.send(new PutRuleCommand({ Name: name, EventBusName: bus, EventPattern }));
	const answer = await w.eventBridge.send(new PutTargetsCommand({ Rule: name, EventBusName: bus, Targets: targets }));
	assert.deepEqual([answer.FailedEntryCount, answer.FailedEntries], [0, []]);
}

/** Returns the event's id. */
export async function put(w: World, bus: string, type: string, detail: unknown): Promise<string> {
	const entry = { EventBusName: bus, Source: "shop", DetailType: type, Detail: JSON.stringify(detail) };
	const { Entries } = await w.eventBridge.send(new PutEventsCommand({ Entries: [entry] }));
	assert.ok(Entries?.[0]?.EventId, JSON.stringify(Entries));
	return Entries[0].EventId;
}

const bus = (w: World, Name: string) => w.eventBridge.send(new CreateEventBusCommand({ Name }));

export const busClauses: readonly Clause[] = [
	{
		says: "a rule's pattern chooses events, and each of its targets gets its own form of them",
		run: async (w) => {
			const [queue, report] = [await w.queue("bus-queue"), await w.queue("bus-report")];
			const arn = await w.function("bus-target", { env: { REPORT: report.name } });
			await bus(w, "shop");
			const pattern = { source: ["shop"], detail: { total: [{ numeric: [">=", 100] }], coupon: [{ exists: false }] } };
			const InputTransformer = {
				InputPathsMap: { id: "$.detail.id", total: "$.detail.total" },
				InputTemplate: '{"order":"<id>","total":<total>}',
			};
			await rule(
				w,
				"big",
				"shop",
				pattern,
				{ Id: "queue", Arn: queue.arn, InputTransformer },
				{ Id: "function", Arn: arn, InputPath: "$.detail" },
			);
			await put(w, "shop", "OrderPlaced", { id: "small", total: 5 });
			await put(w, "shop", "OrderPlaced", { id: "coupon", total: 500, coupon: "x" });
			await put(w, "shop", "OrderPlaced", { id: "big", total: 500 });
			assert.deepEqual(await w.values(queue, 1), [{ order: "big", total: 500 }]);
			const [seen] = await w.values(report, 1);
			assert.deepEqual(seen?.event, { id: "big", total: 500 });
			assert.deepEqual(await w.receive(queue, 0), []);
		},
	},
	{
		says: "an event goes on to another bus, and from there to a service as a CloudEvent",
		run: async (w) => {
			await bus(w, "first");
			await bus(w, "second");
			const service = await subscriber(w, "bus-service");
			await rule(w, "on", "first", { source: ["shop"] }, { Id: "bus", Arn: w.arn("events", "event-bus/second") });
			await rule(w, "to-service", "second", { source: ["shop"] }, { Id: "service", Arn: service.arn("/inbox") });
			const id = await put(w, "first", "OrderPlaced", { n: 1 });
			const [received] = await service.received(1);
			assert.equal(received?.path, "/inbox", JSON.stringify(received));
			const { event } = received;
			assert.deepEqual([event?.id, event?.source, event?.type, event?.data], [id, "shop", "OrderPlaced", { n: 1 }]);
		},
	},
	{
		says: "an event that its target refuses is a dead letter, which says what happened",
		run: async (w) => {
			const [dead, service] = [await w.queue("bus-dead"), await subscriber(w, "bus-failing")];
			await rule(
				w,
				"failing",
				"default",
				{ source: ["shop"], "detail-type": ["Fails"] },
				{
					Id: "service",
					Arn: service.arn("/fail"),
					DeadLetterConfig: { Arn: dead.arn },
					RetryPolicy: { MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60 },
				},
			);
			await put(w, "default", "Fails", { n: 1 });
			const [letter] = await w.take(dead, 1);
			assert.match(letter?.Body ?? "", /"n":1/);
			const attributes = Object.fromEntries(
				Object.entries(letter?.MessageAttributes ?? {}).map(([name, { StringValue }]) => [name, StringValue]),
			);
			assert.equal(attributes.RULE_ARN, w.arn("events", "rule/failing"));
			assert.equal(attributes.TARGET_ARN, service.arn("/fail"));
			assert.match(`${attributes.ERROR_CODE} ${attributes.ERROR_MESSAGE}`, /500/);
		},
	},
	{
		says: "an archive keeps events, and a replay delivers them again",
		run: async (w) => {
			await bus(w, "kept");
			const queue = await w.queue("bus-replayed");
			const EventSourceArn = w.arn("events", "event-bus/kept");
			await w.eventBridge.send(new CreateArchiveCommand({ ArchiveName: "kept", EventSourceArn }));
			const from = new Date(Date.now() - 60_000);
			const ids = [await put(w, "kept", "Kept", { n: 1 }), await put(w, "kept", "Kept", { n: 2 })];
			await until("two events in the archive", async () => {
				const { EventCount } = await w.eventBridge.send(new DescribeArchiveCommand({ ArchiveName: "kept" }));
				return EventCount === 2 ? true : undefined;
			});
			await rule(w, "kept", "kept", { source: ["shop"] }, { Id: "queue", Arn: queue.arn });
			const range = { EventStartTime: from, EventEndTime: new Date() };
			const archive = w.arn("events", "archive/kept");
			const Destination = { Arn: EventSourceArn };
			await w.eventBridge.send(
				new StartReplayCommand({ ReplayName: "again", EventSourceArn: archive, Destination, ...range }),
			);
			const events = await w.values(queue, 2);
			assert.deepEqual(events.map(({ id }) => id).sort(), ids.sort());
			assert.deepEqual(
				events.map((event) => event["replay-name"]),
				["again", "again"],
			);
			await until("replay completed", async () => {
				const { State } = await w.eventBridge.send(new DescribeReplayCommand({ ReplayName: "again" }));
				return State === "COMPLETED" ? true : undefined;
			});
		},
	},
	{
		says: "TestEventPattern tells whether a pattern matches",
		run: async (w) => {
			const event = {
				id: "1",
				source: "s",
				"detail-type": "t",
				account: "1",
				time: "2026-01-01T00:00:00Z",
				region: "r",
			};
			const Event = JSON.stringify({ ...event, resources: [], detail: { ip: "10.1.2.3", file: "a.png" } });
			const matches = async (detail: unknown) =>
				(await w.eventBridge.send(new TestEventPatternCommand({ Event, EventPattern: JSON.stringify({ detail }) })))
					.Result;
			assert.equal(await matches({ ip: [{ cidr: "10.0.0.0/8" }], file: [{ suffix: ".png" }] }), true);
			assert.equal(await matches({ file: [{ "anything-but": { wildcard: "*.png" } }] }), false);
			const wrong = { EventPattern: '{"source":"s"}', Event };
			await assert.rejects(w.eventBridge.send(new TestEventPatternCommand(wrong)), {
				name: "InvalidEventPatternException",
				message: /^Event pattern is not valid\. Reason: /,
			});
		},
	},
];
