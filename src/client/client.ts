/** Typed client of the native API over a fetch. No shape is written twice: types come from the API's own schemas. */
import { type ErrorCode, errorCodes, isSlipwayError, SlipwayError, systemCode } from "../base/error.ts";
import { EventClient } from "./event-client.ts";
import { readLines } from "./ndjson.ts";
import type {
	ColdStart,
	CreateFunction,
	FunctionView,
	ImageDetailView,
	ImageStreamLine,
	ImageView,
	LogLine,
	Problem,
	Progress,
	SandboxState,
	Spares,
	Status,
	StoredImage,
} from "./schema.ts";
import { WorkloadClient } from "./workload-client.ts";

export interface ClientOptions {
	/** `http://127.0.0.1:4747` */
	url: string;
	token: string;
	/** `nodeFetch` or a browser's own. */
	fetch: Fetch;
}

export interface Invocation {
	requestId: string;
	payload: Uint8Array;
	functionError: string | undefined;
	/** The last 4 KB of the log, when asked for. */
	logTail: string | undefined;
	/** When it had one. */
	coldStart: ColdStart | undefined;
}

export interface LogOptions {
	startMs?: number | undefined;
	endMs?: number | undefined;
	limit?: number | undefined;
	stream?: string | undefined;
	follow?: boolean | undefined;
	signal?: AbortSignal | undefined;
}

export type Query = Record<string, string | number | boolean | undefined>;
export interface Request {
	method?: string;
	headers?: Record<string, string>;
	body?: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;
	signal?: AbortSignal | undefined;
}
/** The part of fetch that the client uses. */
export type Fetch = (url: URL, request: Request) => Promise<Response>;

/** Errors are SlipwayErrors with the daemon's code and hint; UNAVAILABLE with reason "NoDaemon" when nothing answers. */
export class SlipwayClient {
	readonly #options: ClientOptions;
	/** Services, jobs, workers and routes. */
	readonly workloads: WorkloadClient;
	/** What waits, queues and triggers. */
	readonly events: EventClient;

	constructor(options: ClientOptions) {
		this.#options = options;
		this.workloads = new WorkloadClient({
			json: (path, request) => this.#json(path, request),
			send: (path, request) => this.#send(path, request ?? {}),
			lines: (path, request) => this.#lines(path, request),
		});
		this.events = new EventClient({
			json: (path, request) => this.#json(path, request),
			send: (path, request) => this.#send(path, request ?? {}),
		});
	}

	status(): Promise<Status> {
		return this.#json("/status");
	}

	async *functions(): AsyncGenerator<FunctionView> {
		let after: string | undefined;
		do {
			const page = await this.#json<{ functions: FunctionView[]; next?: string }>("/functions", { query: { after } });
			yield* page.functions;
			after = page.next;
		} while (after !== undefined);
	}

	getFunction(name: string): Promise<FunctionView> {
		return this.#json(functionPath(name));
	}

	createFunction(input: CreateFunction): Promise<FunctionView> {
		return this.#json("/functions", { method: "POST", ...json(input) });
	}

	/** What is left out stays as it is. */
	setSpares(name: string, spares: Partial<Spares>): Promise<FunctionView> {
		return this.#json(`${functionPath(name)}/spares`, { method: "PUT", ...json(spares) });
	}

	/** Returns how many sandboxes were told to end. */
	async stopFunction(name: string): Promise<number> {
		return (await this.#json<{ sandboxes: number }>(`${functionPath(name)}/stop`, { method: "POST" })).sandboxes;
	}

	async deleteFunction(name: string): Promise<void> {
		await this.#send(functionPath(name), { method: "DELETE" });
	}

	/** `payload` is JSON text, `qualifier` a version or an alias. A failing function is a result with `functionError`. */
	async invoke(
		name: string,
		payload: Uint8Array<ArrayBuffer> | string,
		options: { tail?: boolean; qualifier?: string | undefined } = {},
	): Promise<Invocation> {
		const response = await this.#send(`${functionPath(name)}/invocations`, {
			method: "POST",
			body: payload,
			headers: { "content-type": "application/json" },
			query: { tail: options.tail || undefined, qualifier: options.qualifier },
		});
		const tail = response.headers.get("slipway-log-tail");
		return {
			requestId: response.headers.get("slipway-request-id") ?? "",
			payload: await response.bytes(),
			functionError: response.headers.get("slipway-function-error") ?? undefined,
			logTail: tail === null ? undefined : Buffer.from(tail, "base64").toString(),
			coldStart: parseTiming(response.headers.get("server-timing")),
		};
	}

	logs(name: string, { signal, ...query }: LogOptions = {}): AsyncGenerator<LogLine> {
		return this.#lines(`${functionPath(name)}/logs`, { signal, query: { ...query } });
	}

	/** Of any group, such as the gateway's access log. */
	groupLogs(group: string, { signal, ...query }: LogOptions = {}): AsyncGenerator<LogLine> {
		return this.#lines("/logs", { signal, query: { ...query, group } });
	}

	async sandboxes(): Promise<SandboxState[]> {
		return (await this.#json<{ sandboxes: SandboxState[] }>("/sandboxes")).sandboxes;
	}

	async images(): Promise<ImageView[]> {
		return (await this.#json<{ images: ImageView[] }>("/images")).images;
	}

	inspectImage(reference: string): Promise<ImageDetailView> {
		return this.#json(imagePath(reference));
	}

	async removeImage(reference: string): Promise<void> {
		await this.#send(imagePath(reference), { method: "DELETE" });
	}

	pullImage(reference: string, onProgress?: (progress: Progress) => void): Promise<StoredImage[]> {
		return this.#images("/images/pull", { method: "POST", ...json({ reference }) }, onProgress);
	}

	/** `size` bytes of a tar archive. */
	importImage(
		archive: ReadableStream<Uint8Array>,
		size: number,
		options: { repository?: string | undefined; onProgress?: (progress: Progress) => void } = {},
	): Promise<StoredImage[]> {
		const { repository, onProgress } = options;
		const headers = { "content-type": "application/x-tar", "content-length": String(size) };
		return this.#images(
			"/images/import",
			{ method: "POST", body: archive, headers, query: { repository } },
			onProgress,
		);
	}

	async #images(
		path: string,
		request: Request & { query?: Query },
		onProgress?: (progress: Progress) => void,
	): Promise<StoredImage[]> {
		for await (const line of readLines<ImageStreamLine>(await this.#send(path, request))) {
			if (line.type === "problem") throw fromProblem(line.problem);
			if (line.type === "result") return line.images;
			onProgress?.(line);
		}
		throw new SlipwayError("UNAVAILABLE", "The daemon's answer ended before its result", {
			hint: "`slipway status` tells whether it still runs",
		});
	}

	/** Lines of a stream; a problem in its midst is thrown. */
	async *#lines<T extends { type: string }>(path: string, request: Request & { query?: Query }): AsyncGenerator<T> {
		const response = await this.#send(path, request);
		try {
			for await (const line of readLines<T | { type: "problem"; problem: Problem }>(response)) {
				if (line.type === "problem") throw fromProblem((line as { problem: Problem }).problem);
				yield line as T;
			}
		} catch (error) {
			if (request.signal?.aborted || isSlipwayError(error)) throw error;
			throw lost(this.#options.url, error);
		}
	}

	async #json<T>(path: string, request: Request & { query?: Query } = {}): Promise<T> {
		return (await (await this.#send(path, request)).json()) as T;
	}

	async #send(path: string, { query = {}, headers, ...request }: Request & { query?: Query }): Promise<Response> {
		const url = new URL(`/_slipway${path}`, this.#options.url);
		for (const [name, value] of Object.entries(query))
			if (value !== undefined) url.searchParams.set(name, String(value));
		let response: Response;
		try {
			const authorization = `Bearer ${this.#options.token}`;
			response = await this.#options.fetch(url, { ...request, headers: { ...headers, authorization } });
		} catch (error) {
			if (request.signal?.aborted) throw error;
			throw unreachable(this.#options.url, error);
		}
		if (response.ok) return response;
		throw await refusal(response);
	}
}

const functionPath = (name: string) => `/functions/${encodeURIComponent(name)}`;
const imagePath = (reference: string) => `/images/${encodeURIComponent(reference)}`;
const json = (value: unknown) => ({ body: JSON.stringify(value), headers: { "content-type": "application/json" } });

function unreachable(url: string, error: unknown): SlipwayError {
	const cause = error instanceof Error ? error.cause : undefined;
	const why = cause instanceof Error ? cause.message || systemCode(cause) : (error as Error).message;
	return new SlipwayError("UNAVAILABLE", `No daemon answers at ${url}: ${why}`, {
		reason: systemCode(cause) === "ECONNREFUSED" ? "NoDaemon" : undefined,
		hint: "Start one with `slipway up`, or check SLIPWAY_URL",
		cause: error,
	});
}

/** In the midst of a stream: a daemon that was killed says nothing more, and may have been within a line. */
function lost(url: string, error: unknown): SlipwayError {
	return new SlipwayError("UNAVAILABLE", `The connection to the daemon at ${url} was lost`, {
		reason: "NoDaemon",
		hint: "`slipway status` tells whether it still runs",
		cause: error,
	});
}

async function refusal(response: Response): Promise<SlipwayError> {
	const text = await response.text();
	if (response.headers.get("content-type")?.startsWith("application/problem+json"))
		return fromProblem(JSON.parse(text) as Problem);
	return new SlipwayError("UNAVAILABLE", `${response.url} answered ${response.status} without a problem document`, {
		hint: "Is SLIPWAY_URL the address of a Slipway daemon?",
	});
}

function fromProblem({ code, detail, reason, hint }: Problem): SlipwayError {
	return new SlipwayError(code in errorCodes ? (code as ErrorCode) : "UNAVAILABLE", detail, { reason, hint });
}

function parseTiming(header: string | null): ColdStart | undefined {
	const stages = new Map((header ?? "").split(",").map((metric) => [/^\s*([\w-]+)/.exec(metric)?.[1], metric]));
	if (!stages.has("first-poll")) return undefined;
	const ms = (stage: string) => Number(/;dur=([\d.]+)/.exec(stages.get(stage) ?? "")?.[1] ?? 0);
	return {
		queueMs: ms("queue"),
		sandboxMs: ms("sandbox"),
		processMs: ms("process"),
		initMs: ms("init"),
		firstPollMs: ms("first-poll"),
		spare: /;desc=spare/.test(stages.get("sandbox") ?? ""),
	};
}
