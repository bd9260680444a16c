import type { Append, LeasedMessage, LogChange } from "../../core/message-log/message-log.ts";
import { commitsOf } from "../delivery/commits.ts";
import type { Catalog } from "./catalog.ts";
import { readEnvelope } from "./envelope.ts";
import { maxAppendBytesPerEvent, maxAppendsPerEvent } from "./limits.ts";
import { busOfFanOutLane, fanOutLane } from "./names.ts";
import type { BusDeps } from "./ports.ts";
import { route } from "./route.ts";

/** A fan-out that goes on after a kill gives its event to no target twice within so many milliseconds: a day. */
const windowMs = 86_400_000;

/**
 * An event that more targets get than fit into one commit: it is accepted by one append to the bus's own lane, and goes from there to
 * its targets in as many commits as it takes. A kill in between loses none of them, and doubles none, as each append has a key.
 */
export function fanOutOf(bus: string, appends: readonly Append[]): Append | undefined {
	const [first] = appends;
	const isLarge =
		appends.length > maxAppendsPerEvent || appends.length * (first?.body.length ?? 0) > maxAppendBytesPerEvent;
	return first && isLarge ? { ...first, lane: fanOutLane(bus) } : undefined;
}

type FanOutDeps = Pick<BusDeps, "ids" | "log" | "logger"> & { catalog: Catalog };

/** For lanes of `fanOutLane`. */
export class FanOut {
	readonly #deps: FanOutDeps;

	constructor(deps: FanOutDeps) {
		this.#deps = deps;
	}

	async handle(message: LeasedMessage): Promise<LogChange[]> {
		const { catalog, ids, log, logger } = this.#deps;
		const settled: LogChange = { change: "settle", token: message.token, outcome: "done" };
		const bus = busOfFanOutLane(message.lane);
		if (!catalog.hasBus(bus)) {
			logger.warn("An event's bus is gone, and the event with it", { bus, id: message.correlation });
			return [{ ...settled, result: "dropped", detail: { errorCode: "BUS_REMOVED", errorMessage: `${bus} is gone` } }];
		}
		const envelope = readEnvelope(Buffer.from(message.body).toString());
		const appends = route({ catalog, ids }, bus, envelope, message.headers as never, {
			key: { key: message.id, windowMs },
		});
		const commits = [...commitsOf(appends)];
		const last = commits.pop() ?? [];
		for (const commit of commits) await log.commit(commit);
		return [{ ...settled, detail: { deliveries: appends.length } }, ...last];
	}
}
