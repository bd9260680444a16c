/** Shapes of the native API's part about events: what waits, queues, triggers. */
import { z } from "zod";

const text = z.string();
const count = z.int().nonnegative();
const ms = z.number().describe("Milliseconds since the epoch");
const bytes = z.int().nonnegative();

export const placeSchema = z
	.string()
	.min(1)
	.max(512)
	.describe(
		"Where events wait: function/NAME[:QUALIFIER], queue/NAME, rule/BUS/RULE/TARGET, schedule/GROUP/NAME, archive/NAME, trigger/NAME; dead/ and one of these for its dead letters",
	);

const laneSchema = z.object({
	lane: text.describe("Its name in the log"),
	kind: z.enum(["function", "queue", "rule", "schedule", "archive", "trigger", "bus", "dead", "other"]),
	name: text.describe("Such as `function orders`, `rule default/r1 -> t`"),
	ready: count.describe("Could be delivered now"),
	delayed: count.describe("Wait for their time"),
	retrying: count.describe("Of the delayed: failed, and are tried again"),
	inFlight: count,
	dead: count.describe("All of a place that dead letters go to"),
	bytes,
	oldestSentMs: ms.optional(),
});
export type LaneView = z.infer<typeof laneSchema>;

const overviewSchema = z.object({
	lanes: z.array(laneSchema),
	total: laneSchema.pick({ ready: true, delayed: true, retrying: true, inFlight: true, dead: true, bytes: true }),
	faults: count.describe("Messages with damaged bytes, never delivered"),
});
export type EventsOverview = z.infer<typeof overviewSchema>;

export const eventStateSchema = z.enum(["ready", "delayed", "retrying", "in-flight", "blocked", "dead"]);
export type EventState = z.infer<typeof eventStateSchema>;

const eventSchema = z.object({
	id: text,
	correlation: text.optional().describe("Id of the event that it came of"),
	lane: text,
	name: text,
	sequence: z.int(),
	state: eventStateSchema,
	sentMs: ms,
	dueMs: ms.optional(),
	attempts: count,
	size: bytes,
	group: text.optional(),
	note: z.unknown().optional().describe("What is remembered of its failures"),
	origin: text.optional().describe("Where it was moved here from"),
	body: text.optional(),
	bodyEncoding: z.enum(["utf8", "base64"]).optional(),
	truncated: z.boolean().optional().describe("There is more of the body"),
});
export type EventView = z.infer<typeof eventSchema>;

const eventListSchema = z.object({
	events: z.array(eventSchema),
	next: z.int().optional().describe("Pass as `after` for more"),
});
export type EventList = z.infer<typeof eventListSchema>;

const stepSchema = z.object({
	atMs: ms,
	id: text,
	lane: text,
	name: text,
	step: z.enum(["sent", "delivered", "retry", "moved", "dead", "expired", "dropped", "lapsed"]),
	attempt: count.optional(),
	to: text.optional(),
	back: z.boolean().optional().describe("It has been there before"),
	detail: z.record(text, z.unknown()).optional(),
});
export type EventStep = z.infer<typeof stepSchema>;

const storySchema = z.object({
	id: text,
	state: z.enum([...eventStateSchema.options, "delivered", "expired", "dropped"]),
	steps: z.array(stepSchema),
	present: z.array(eventSchema).describe("What is still in the log"),
	truncated: z.boolean(),
});
export type EventStory = z.infer<typeof storySchema>;

/** Ids that one replay names. */
const maxIds = 1000;
export const replaySchema = z.strictObject({
	place: placeSchema,
	ids: z.array(z.string().min(1).max(200)).max(maxIds).optional(),
	fromMs: ms.optional(),
	toMs: ms.optional(),
	target: z.string().max(2048).optional().describe("ARN to hand them to, in place of where they came from"),
	max: z.int().min(1).max(100_000).optional(),
});
export type ReplayEvents = z.infer<typeof replaySchema>;

const replayResultSchema = z.object({
	replayed: count,
	kept: count.describe("Stay where they are"),
	problems: z.array(z.object({ id: text, problem: text })).describe("Why, the first of them"),
	replay: text.optional().describe("Of an archive: the replay that has begun"),
});
export type ReplayResult = z.infer<typeof replayResultSchema>;

export const purgeSchema = z.strictObject({ place: placeSchema });
const purgedSchema = z.object({ purged: count });

const faultSchema = z.object({ lane: text, id: text, sequence: z.int(), foundMs: ms, what: text });
export type LogFaultView = z.infer<typeof faultSchema>;

export const queueNameSchema = z
	.string()
	.regex(/^[\w-]{1,80}$|^[\w-]{1,75}\.fifo$/, "must be 1 to 80 letters, digits, '-' or '_', and may end in .fifo")
	.describe("Queue's name");

const queueSchema = z.object({
	name: text,
	arn: text,
	url: text.describe("For SQS clients"),
	fifo: z.boolean(),
	visible: count,
	delayed: count,
	inFlight: count,
	oldestSentMs: ms.optional(),
	visibilityTimeoutS: z.number(),
	retentionS: z.number(),
	deadLetterQueue: text.optional(),
	maxReceiveCount: z.int().optional(),
	deadLettersOf: z.array(text).describe("Queues whose dead letters come here"),
	tags: z.record(text, text),
	createdMs: ms,
});
export type QueueView = z.infer<typeof queueSchema>;

export const createQueueSchema = z.strictObject({
	name: queueNameSchema,
	attributes: z.record(text, text).optional().describe("SQS's attributes of CreateQueue"),
	tags: z.record(text, text).optional(),
});
export type CreateQueue = z.infer<typeof createQueueSchema>;

/** Copies that one call sends: for trying things out. */
export const maxCopies = 10_000;
export const sendMessageSchema = z.strictObject({
	body: z.string().min(1),
	delayS: z.int().min(0).max(900).optional(),
	attributes: z.record(text, text).optional().describe("Of type String"),
	group: z.string().min(1).max(128).optional().describe("MessageGroupId, of FIFO queues"),
	deduplicationId: z.string().min(1).max(128).optional(),
	count: z.int().min(1).max(maxCopies).optional().describe("How many copies are sent; 1 without"),
});
export type SendMessage = z.infer<typeof sendMessageSchema>;
const sentSchema = z.object({ ids: z.array(text) });

const messageSchema = z.object({
	id: text,
	body: text,
	attributes: z.record(text, text).describe("Binary ones in base64"),
	sentMs: ms,
	receiveCount: count,
	group: text.optional(),
	state: z.enum(["ready", "delayed", "leased", "blocked"]),
	dueMs: ms.optional(),
	deadLetterOf: text.optional().describe("ARN of the queue that it came from"),
	sequence: z.int(),
	receiptHandle: text.optional().describe("Of a message that was received: deletes it"),
});
export type MessageView = z.infer<typeof messageSchema>;
const messageListSchema = z.object({
	messages: z.array(messageSchema),
	next: z.int().optional().describe("Pass as `after` for more"),
});
export type MessageList = z.infer<typeof messageListSchema>;

export const receiveSchema = z.strictObject({
	max: z.int().min(1).max(10).optional(),
	waitS: z.int().min(0).max(20).optional(),
	visibilityS: z.int().min(0).max(43_200).optional(),
});
export type ReceiveMessages = z.infer<typeof receiveSchema>;
export const deleteMessageSchema = z.strictObject({ receiptHandle: z.string().min(1).max(2048) });

export const redriveSchema = z.strictObject({
	destination: queueNameSchema.optional(),
	maxPerSecond: z.int().min(1).max(500).optional(),
});
export type RedriveQueue = z.infer<typeof redriveSchema>;
const moveTaskSchema = z.object({
	id: text,
	status: z.enum(["RUNNING", "COMPLETED", "CANCELLING", "CANCELLED", "FAILED"]),
	moved: count,
	toMove: count,
	failureReason: text.optional(),
	startedMs: ms,
});
export type MoveTaskView = z.infer<typeof moveTaskSchema>;

export const queueTriggerSchema = z.strictObject({
	function: text.optional().describe("NAME[:QUALIFIER]"),
	service: text.optional().describe("NAME, or NAMESPACE/NAME with or without a path: default/orders/inbox"),
	format: z.enum(["cloudevents", "batch"]).optional().describe("What a service gets; cloudevents without"),
	batchSize: z.int().min(1).max(10_000).optional(),
	windowS: z.int().min(0).max(300).optional(),
	filters: z.array(text).max(5).optional().describe("Event patterns as JSON text"),
	reportsItemFailures: z.boolean().optional(),
	maximumConcurrency: z.int().min(2).max(1000).optional(),
	enabled: z.boolean().optional(),
});
export type QueueTrigger = z.infer<typeof queueTriggerSchema>;

const triggerSchema = z.object({
	name: text.describe("Of a queue's: its UUID"),
	kind: z.enum(["queue", "broker"]),
	source: text.describe("`queue orders`, or of a broker the connection and its queue, stream, table or slot"),
	target: text.describe("ARN"),
	enabled: z.boolean(),
	state: text,
	message: text.optional(),
	inHand: count.describe("Batches or messages that are being delivered"),
	definition: z.record(text, z.unknown()).describe("As it was given, with defaults"),
	counters: z.record(text, z.number()).optional().describe("Since the start"),
});
export type TriggerView = z.infer<typeof triggerSchema>;

const connectionSchema = z.looseObject({ name: text, kind: text, url: text });
export type ConnectionView = z.infer<typeof connectionSchema>;

export const createScheduleSchema = z.strictObject({
	name: z.string().regex(/^[\w.-]{1,64}$/, "must be 1 to 64 letters, digits, '.', '-' or '_'"),
	group: text.optional().describe("default without"),
	expression: text.describe("rate(5 minutes), cron(0 12 * * ? *), at(2026-12-24T18:00:00)"),
	timeZone: text.optional().describe("IANA's name; UTC without"),
	target: z.string().max(2048).describe("ARN"),
	input: z.string().optional().describe("What the target gets, JSON text"),
	deadLetters: z.string().max(2048).optional().describe("ARN of a queue for ticks that could not be delivered"),
	once: z.boolean().optional().describe("Delete it after its last tick"),
});
export type CreateSchedule = z.infer<typeof createScheduleSchema>;
const scheduleSchema = z.object({
	group: text,
	name: text,
	expression: text,
	timeZone: text.optional(),
	target: text,
	enabled: z.boolean(),
	nextMs: ms.optional().describe("When its next tick is due"),
	createdMs: ms,
});
export type ScheduleView = z.infer<typeof scheduleSchema>;

const busSchema = z.object({ name: text, rules: count, createdMs: ms });
export type BusView = z.infer<typeof busSchema>;
export const putEventSchema = z.strictObject({
	source: z.string().min(1).max(256),
	detailType: z.string().min(1).max(128),
	detail: z.record(text, z.unknown()).describe("The event, a JSON object"),
	resources: z.array(text).max(100).optional(),
});
export type PutEvent = z.infer<typeof putEventSchema>;

const acceptedSchema = z.object({ requestId: text });

export const eventComponents = {
	Accepted: acceptedSchema,
	EventsOverview: overviewSchema,
	EventList: eventListSchema,
	EventStory: storySchema,
	ReplayEvents: replaySchema,
	ReplayResult: replayResultSchema,
	Purge: purgeSchema,
	Purged: purgedSchema,
	LogFaultList: z.object({ faults: z.array(faultSchema) }),
	Queue: queueSchema,
	QueueList: z.object({ queues: z.array(queueSchema) }),
	CreateQueue: createQueueSchema,
	SendMessage: sendMessageSchema,
	SentMessages: sentSchema,
	ReceiveMessages: receiveSchema,
	MessageList: messageListSchema,
	DeleteMessage: deleteMessageSchema,
	RedriveQueue: redriveSchema,
	MoveTask: moveTaskSchema,
	MoveTaskList: z.object({ tasks: z.array(moveTaskSchema) }),
	QueueTrigger: queueTriggerSchema,
	Trigger: triggerSchema,
	TriggerList: z.object({ triggers: z.array(triggerSchema) }),
	CreateSchedule: createScheduleSchema,
	Schedule: scheduleSchema,
	ScheduleList: z.object({ schedules: z.array(scheduleSchema) }),
	BusList: z.object({ buses: z.array(busSchema) }),
	PutEvent: putEventSchema,
	EventId: z.object({ id: text }),
	Connection: connectionSchema,
	ConnectionList: z.object({ connections: z.array(connectionSchema) }),
} as const;
