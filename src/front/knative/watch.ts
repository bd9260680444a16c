/** Watches (kubernetes.io API concepts, "Efficient detection of changes"): a line of JSON for each change. */
import { once } from "node:events";
import { SlipwayError } from "../../base/error.ts";
import type { AnyKnativeObject } from "../../core/service/knative.ts";
import type { WatchEvent } from "../../engine/services/types.ts";
import { presented, presentOne } from "./presentation.ts";
import { select, selection } from "./read.ts";
import { type Call, count, flag } from "./request.ts";
import { group, type Resource, version } from "./resources.ts";
import { parseFieldSelector } from "./selector.ts";
import { ApiError, badRequest, toStatus } from "./status.ts";

/** Where the client does not say: Kubernetes ends a watch after 30 to 60 minutes. */
const defaultTimeoutSeconds = 30 * 60;
const maxTimeoutSeconds = 60 * 60;
/** As often as Kubernetes' own watch cache. */
const bookmarkMs = 60_000;
/** Says that everything that was there has been sent (metav1 InitialEventsAnnotationKey). */
const initialEventsEnd = { "k8s.io/initial-events-end": "true" };

type EventType = WatchEvent["type"] | "BOOKMARK" | "ERROR";

export async function watchObjects(
	call: Call,
	resource: Resource,
	namespace: string | undefined,
	name?: string,
): Promise<void> {
	const stream = new WatchStream(call, resource);
	const isSelected = selection(call.query);
	const start = startOf(call, resource, namespace, name);
	const end = endOf(call);
	try {
		const events = call.services.watch(resource.kind, {
			...(namespace !== undefined && { namespace }),
			...(start.name !== undefined && { name: start.name }),
			resourceVersion: start.resourceVersion,
			signal: end.signal,
		});
		await tell(stream, start, isSelected, events[Symbol.asyncIterator]());
	} catch (error) {
		// A watch that was ended has no error to tell; what was refused before it began is told by its status code.
		const isOver = end.signal.aborted && call.response.headersSent;
		if (!isOver && !(await stream.fail(error))) throw error;
	} finally {
		end.cancel();
		stream.end();
	}
}

async function tell(
	stream: WatchStream,
	start: WatchStart,
	isSelected: (object: AnyKnativeObject) => boolean,
	events: AsyncIterator<WatchEvent>,
): Promise<void> {
	// Asked at once: what changes while the state of now is being sent is not missed.
	let next = ask(events);
	stream.begin();
	const seen = new Map(start.objects.map((object) => [object.metadata.uid, true]));
	for (const object of start.objects) await stream.send("ADDED", object);
	stream.resourceVersion = start.resourceVersion;
	if (start.tellsEnd) await stream.bookmark(initialEventsEnd);
	const disarm = stream.bookmarkEvery(bookmarkMs);
	try {
		for (let result = await next; !result.done; result = await next) {
			next = ask(events);
			const { object } = result.value;
			const type = asSeen(result.value, isSelected, seen, start.isComplete);
			if (type) await stream.send(type, object);
			stream.resourceVersion = object.metadata.resourceVersion;
		}
		await stream.bookmark();
	} finally {
		disarm();
	}
}

/** An error is told when the event is waited for, and is no unhandled one until then. */
function ask(events: AsyncIterator<WatchEvent>): Promise<IteratorResult<WatchEvent>> {
	const next = events.next();
	next.catch(() => {});
	return next;
}

/** For one who selects: an object that no longer fits is deleted, one that begins to fit is added. */
function asSeen(
	{ type, object }: WatchEvent,
	isSelected: (object: AnyKnativeObject) => boolean,
	seen: Map<string, boolean>,
	isComplete: boolean,
): WatchEvent["type"] | undefined {
	const { uid } = object.metadata;
	const fits = isSelected(object);
	// Whether the client has it. Of a watch that began at a version of the past that is not known: then it is told too much.
	const had = seen.get(uid);
	if (type === "DELETED") {
		seen.delete(uid);
		return (had ?? (fits && !isComplete)) ? "DELETED" : undefined;
	}
	seen.set(uid, fits);
	if (fits) return type === "ADDED" || had === false || (had === undefined && isComplete) ? "ADDED" : "MODIFIED";
	return type === "MODIFIED" && (had ?? !isComplete) ? "DELETED" : undefined;
}

interface WatchStart {
	name: string | undefined;
	resourceVersion: string;
	/** Sent as ADDED first. */
	objects: AnyKnativeObject[];
	/** Whether the client has nothing but these. */
	isComplete: boolean;
	tellsEnd: boolean;
}

/** Reads the state and its version in one go, so that nothing falls between them. */
function startOf(
	{ query, services }: Call,
	resource: Resource,
	namespace: string | undefined,
	named: string | undefined,
): WatchStart {
	const asked = query.get("resourceVersion") ?? "";
	const initial = flag(query, "sendInitialEvents");
	const name = named ?? parseFieldSelector(query.get("fieldSelector") ?? "").name;
	if (asked !== "" && !/^\d{1,20}$/.test(asked))
		throw badRequest(`resourceVersion: invalid value '${asked.slice(0, 50)}'`);
	if (initial && query.get("resourceVersionMatch") !== "NotOlderThan")
		throw badRequest(
			"resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
		);
	const isComplete = initial || asked === "" || asked === "0";
	if (!isComplete) return { name, resourceVersion: asked, objects: [], isComplete, tellsEnd: false };
	const objects = select(query, resource.list(services, namespace)).filter(
		({ metadata }) => name === undefined || metadata.name === name,
	);
	const tellsEnd = initial && flag(query, "allowWatchBookmarks");
	return { name, resourceVersion: services.resourceVersion, objects, isComplete, tellsEnd };
}

/** When the client goes, its time is over or the daemon closes. */
function endOf({ query, response, clock, closing }: Call): { signal: AbortSignal; cancel(): void } {
	const seconds = Math.min(count(query, "timeoutSeconds") || defaultTimeoutSeconds, maxTimeoutSeconds);
	const controller = new AbortController();
	const abort = () => controller.abort(new SlipwayError("DEADLINE", "The watch has ended"));
	const disarm = clock.after(seconds * 1000, abort);
	response.once("close", abort);
	closing.addEventListener("abort", abort, { once: true });
	if (closing.aborted) abort();
	return {
		signal: controller.signal,
		cancel() {
			disarm();
			response.off("close", abort);
			closing.removeEventListener("abort", abort);
			abort();
		},
	};
}

class WatchStream {
	readonly #call: Call;
	readonly #resource: Resource;
	/** Everything up to it has been told. */
	resourceVersion = "";

	constructor(call: Call, resource: Resource) {
		this.#call = call;
		this.#resource = resource;
	}

	begin(): void {
		const { response } = this.#call;
		response.writeHead(200, { "Content-Type": "application/json", "Cache-Control": "no-cache, private" });
		response.flushHeaders();
	}

	async send(type: EventType, object: AnyKnativeObject): Promise<void> {
		const { presentation, query } = this.#call;
		const shown = presentOne(presented(this.#resource), presentation, object, query.get("includeObject"));
		await this.#write({ type, object: shown });
	}

	/** That the client has everything up to this version. */
	async bookmark(annotations?: Record<string, string>): Promise<void> {
		if (!flag(this.#call.query, "allowWatchBookmarks")) return;
		const { resourceVersion } = this;
		const metadata = { resourceVersion, creationTimestamp: null, ...(annotations && { annotations }) };
		const { kind } = this.#resource;
		await this.#write({ type: "BOOKMARK", object: { apiVersion: `${group}/${version}`, kind, metadata } });
	}

	bookmarkEvery(ms: number): () => void {
		const { clock, response } = this.#call;
		let disarm = clock.after(ms, tick);
		const stream = this;
		function tick(): void {
			// One who has not read what was sent does not need to hear that it was.
			if (!response.writableNeedDrain) void stream.bookmark();
			disarm = clock.after(ms, tick);
		}
		return () => disarm();
	}

	/** In place of a status code that has gone already; false: it has not. What is too old is told so either way, as Kubernetes does. */
	async fail(error: unknown): Promise<boolean> {
		const { log, request, response } = this.#call;
		const status = toStatus(error);
		if (!response.headersSent) {
			if (status.code !== 410) return false;
			this.begin();
		}
		if (status.code >= 500 || !(error instanceof SlipwayError || error instanceof ApiError))
			log.error("A watch failed", { url: request.url, error });
		await this.#write({ type: "ERROR", object: status });
		return true;
	}

	/** Nothing that has not begun. */
	end(): void {
		if (this.#call.response.headersSent) this.#call.response.end();
	}

	async #write(event: { type: EventType; object: object }): Promise<void> {
		const { response } = this.#call;
		if (response.destroyed || response.writableEnded) return;
		if (response.write(`${JSON.stringify(event)}\n`)) return;
		// "close" comes to those who never read on.
		const settled = new AbortController();
		const { signal } = settled;
		await Promise.race([once(response, "drain", { signal }), once(response, "close", { signal })]).finally(() =>
			settled.abort(),
		);
	}
}
