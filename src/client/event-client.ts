/** The part of the client that is about what waits, queues and triggers. */
import type { Query, Request } from "./client.ts";
import type {
	BusView,
	ConnectionView,
	CreateQueue,
	CreateSchedule,
	EventList,
	EventState,
	EventStory,
	EventsOverview,
	LogFaultView,
	MessageList,
	MessageView,
	MoveTaskView,
	PutEvent,
	QueueTrigger,
	QueueView,
	ReceiveMessages,
	RedriveQueue,
	ReplayEvents,
	ReplayResult,
	ScheduleView,
	SendMessage,
	TriggerView,
} from "./event-schema.ts";

type Asked = Request & { query?: Query };

export interface EventTransport {
	json<T>(path: string, request?: Asked): Promise<T>;
	send(path: string, request?: Asked): Promise<Response>;
}

export interface ListEvents {
	state?: EventState | undefined;
	limit?: number | undefined;
	after?: number | undefined;
	fromMs?: number | undefined;
	toMs?: number | undefined;
	/** Bytes of each body that are shown; none without. */
	bodyBytes?: number | undefined;
}

export class EventClient {
	readonly #transport: EventTransport;

	constructor(transport: EventTransport) {
		this.#transport = transport;
	}

	/** What waits where; empty places with `all`. */
	overview(options: { all?: boolean } = {}): Promise<EventsOverview> {
		return this.#get("/events", { all: options.all || undefined });
	}

	/** Of one place, such as `queue/orders`. */
	list(place: string, options: ListEvents = {}): Promise<EventList> {
		return this.#get("/events/messages", { ...options, place });
	}

	story(id: string, options: { body?: boolean } = {}): Promise<EventStory> {
		return this.#get(`/events/${encodeURIComponent(id)}`, { body: options.body || undefined });
	}

	replay(input: ReplayEvents): Promise<ReplayResult> {
		return this.#post("/events/replay", input);
	}

	/** How many. */
	async purge(place: string): Promise<number> {
		return (await this.#post<{ purged: number }>("/events/purge", { place })).purged;
	}

	async faults(): Promise<LogFaultView[]> {
		return (await this.#get<{ faults: LogFaultView[] }>("/events/faults")).faults;
	}

	/** Returns the request id when the event is on the disk. `payload` is JSON text. */
	async invokeLater(
		name: string,
		payload: Uint8Array<ArrayBuffer> | string,
		options: { qualifier?: string | undefined } = {},
	): Promise<string> {
		const path = `/functions/${encodeURIComponent(name)}/events`;
		const headers = { "content-type": "application/json" };
		const request = { method: "POST", body: payload, headers, query: { qualifier: options.qualifier } };
		return (await this.#transport.json<{ requestId: string }>(path, request)).requestId;
	}

	async queues(prefix?: string): Promise<QueueView[]> {
		return (await this.#get<{ queues: QueueView[] }>("/queues", { prefix })).queues;
	}

	queue(name: string): Promise<QueueView> {
		return this.#get(queuePath(name));
	}

	createQueue(input: CreateQueue): Promise<QueueView> {
		return this.#post("/queues", input);
	}

	deleteQueue(name: string): Promise<void> {
		return this.#delete(queuePath(name));
	}

	/** How many. */
	async purgeQueue(name: string): Promise<number> {
		return (await this.#post<{ purged: number }>(`${queuePath(name)}/purge`)).purged;
	}

	/** Ids of the copies, when they are on the disk. */
	async send(queue: string, message: SendMessage): Promise<string[]> {
		return (await this.#post<{ ids: string[] }>(`${queuePath(queue)}/messages`, message)).ids;
	}

	/** Without taking them. */
	peek(
		queue: string,
		options: { limit?: number | undefined; state?: MessageView["state"] | undefined; after?: number | undefined } = {},
	): Promise<MessageList> {
		return this.#get(`${queuePath(queue)}/messages`, { ...options });
	}

	async receive(queue: string, options: ReceiveMessages = {}): Promise<MessageView[]> {
		return (await this.#post<MessageList>(`${queuePath(queue)}/receive`, options)).messages;
	}

	async deleteMessage(queue: string, receiptHandle: string): Promise<void> {
		await this.#transport.send(`${queuePath(queue)}/delete`, { method: "POST", ...json({ receiptHandle }) });
	}

	redrive(queue: string, options: RedriveQueue = {}): Promise<MoveTaskView> {
		return this.#post(`${queuePath(queue)}/redrive`, options);
	}

	async redrives(queue: string): Promise<MoveTaskView[]> {
		return (await this.#get<{ tasks: MoveTaskView[] }>(`${queuePath(queue)}/redrive`)).tasks;
	}

	createQueueTrigger(queue: string, trigger: QueueTrigger): Promise<TriggerView> {
		return this.#post(`${queuePath(queue)}/triggers`, trigger);
	}

	async triggers(): Promise<TriggerView[]> {
		return (await this.#get<{ triggers: TriggerView[] }>("/triggers")).triggers;
	}

	trigger(name: string): Promise<TriggerView> {
		return this.#get(triggerPath(name));
	}

	/** Of a broker. */
	applyTrigger(document: object): Promise<TriggerView> {
		return this.#post("/triggers", document);
	}

	deleteTrigger(name: string): Promise<void> {
		return this.#delete(triggerPath(name));
	}

	pauseTrigger(name: string): Promise<TriggerView> {
		return this.#post(`${triggerPath(name)}/pause`);
	}

	resumeTrigger(name: string): Promise<TriggerView> {
		return this.#post(`${triggerPath(name)}/resume`);
	}

	async connections(): Promise<ConnectionView[]> {
		return (await this.#get<{ connections: ConnectionView[] }>("/connections")).connections;
	}

	applyConnection(document: object): Promise<ConnectionView> {
		return this.#post("/connections", document);
	}

	deleteConnection(name: string): Promise<void> {
		return this.#delete(`/connections/${encodeURIComponent(name)}`);
	}

	async schedules(): Promise<ScheduleView[]> {
		return (await this.#get<{ schedules: ScheduleView[] }>("/schedules")).schedules;
	}

	createSchedule(input: CreateSchedule): Promise<ScheduleView> {
		return this.#post("/schedules", input);
	}

	deleteSchedule(group: string, name: string): Promise<void> {
		return this.#delete(`/schedules/${encodeURIComponent(group)}/${encodeURIComponent(name)}`);
	}

	async buses(): Promise<BusView[]> {
		return (await this.#get<{ buses: BusView[] }>("/buses")).buses;
	}

	/** Its id, when it is on the disk for every rule that matches. */
	async putEvent(bus: string, event: PutEvent): Promise<string> {
		return (await this.#post<{ id: string }>(`/buses/${encodeURIComponent(bus)}/events`, event)).id;
	}

	#get<T>(path: string, query: Query = {}): Promise<T> {
		return this.#transport.json(path, { query });
	}

	#post<T>(path: string, body?: object): Promise<T> {
		return this.#transport.json(path, { method: "POST", ...(body && json(body)) });
	}

	async #delete(path: string): Promise<void> {
		await this.#transport.send(path, { method: "DELETE" });
	}
}

const queuePath = (name: string) => `/queues/${encodeURIComponent(name)}`;
const triggerPath = (name: string) => `/triggers/${encodeURIComponent(name)}`;

function json(body: object): Pick<Request, "body"> & { headers: Record<string, string> } {
	return { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
}
