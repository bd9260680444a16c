import { SlipwayError } from "../../base/error.ts";
import { Queue } from "../../base/queue.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import type { EventRoom, RoomUser } from "./event-room.ts";

type Invoke = (functionName: string, request: InvocationRequest) => Promise<InvocationResult>;

interface Call {
	begin: () => Promise<{ throttled: boolean }>;
	refuse: (error: SlipwayError) => void;
}

/** Calls of one function. */
interface Line {
	waiting: Queue<Call>;
	running: number;
}

const prefix = "calls/";

/**
 * Invocations for events whose sender waits for them, such as a broker's trigger: each begins when there is room, those of
 * one function in their order. How many may wait is the callers' bound.
 */
export class EventCalls implements Disposable {
	readonly #room: EventRoom;
	readonly #invoke: Invoke;
	readonly #lines = new Map<string, Line>();
	readonly #user: RoomUser;
	#isClosed = false;

	constructor({ room, invoke }: { room: EventRoom; invoke: Invoke }) {
		this.#room = room;
		this.#invoke = invoke;
		this.#user = {
			functionOf: (key) => key.slice(prefix.length),
			// The dispatcher knows the function's own bound.
			max: () => Number.POSITIVE_INFINITY,
			onRoom: (key) => this.#serve(key.slice(prefix.length)),
		};
	}

	/** As Dispatcher.invoke. UNAVAILABLE for one that waits when the daemon stops. */
	readonly invoke: Invoke = (functionName, request) =>
		new Promise((resolve, reject) => {
			if (this.#isClosed) return reject(closing());
			const line = this.#lines.get(functionName) ?? { waiting: new Queue<Call>(), running: 0 };
			this.#lines.set(functionName, line);
			line.waiting.push({
				refuse: reject,
				begin: async () => {
					try {
						resolve(await this.#invoke(functionName, request));
						return { throttled: false };
					} catch (error) {
						reject(error);
						return { throttled: error instanceof SlipwayError && error.code === "THROTTLED" };
					}
				},
			});
			this.#serve(functionName);
		});

	[Symbol.dispose](): void {
		this.#isClosed = true;
		for (const { waiting } of this.#lines.values())
			for (let call = waiting.shift(); call; call = waiting.shift()) call.refuse(closing());
	}

	#serve(functionName: string): void {
		const key = prefix + functionName;
		const line = this.#lines.get(functionName);
		if (!line) return;
		while (line.waiting.size > 0 && line.running < this.#room.allowed(key, this.#user)) {
			const call = line.waiting.shift();
			if (call) void this.#run(functionName, line, call);
		}
	}

	async #run(functionName: string, line: Line, { begin }: Call): Promise<void> {
		const key = prefix + functionName;
		line.running++;
		this.#room.begin(key, this.#user);
		const { throttled } = await begin();
		line.running--;
		this.#room.end(key, { throttled });
		if (line.running + line.waiting.size === 0) this.#lines.delete(functionName);
		else this.#serve(functionName);
	}
}

function closing(): SlipwayError {
	return new SlipwayError("UNAVAILABLE", "The daemon is stopping");
}
