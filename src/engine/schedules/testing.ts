/** For tests: schedules over fakes, on a clock that a test moves, with a process that can be killed. */
import { createHash } from "node:crypto";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import type { CallOutcome, Delivery, Handover, Targets } from "../../core/delivery/target.ts";
import { FakeMessageLog } from "../../core/message-log/fake-message-log.ts";
import type { MessageLog } from "../../core/message-log/message-log.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import type { ResourceStore } from "../../core/resource/resource-store.ts";
import type { ScheduleSpec, ScheduleTarget } from "./schedule-record.ts";
import type { SchedulesDeps } from "./types.ts";

export const region = "eu-central-1";
export const accountId = "123456789012";
export const functionArn = `arn:aws:lambda:${region}:${accountId}:function:work`;
export const queueArn = `arn:aws:sqs:${region}:${accountId}:letters`;

const minuteMs = 60_000;
/** Names of lanes that queues have. */
const laneOfQueue = (arn: string) => `sqs/${arn.split(":").at(-1)}`;

/** Queues take by an append, everything else by a call that `answer` answers. */
export class FakeTargets implements Targets {
	readonly calls: { arn: string; delivery: Delivery }[] = [];
	answer: (arn: string, delivery: Delivery) => CallOutcome = () => success;
	gone = new Set<string>();

	check(arn: string): void {
		if (!arn.startsWith("arn:aws:") || arn.includes(":s3:")) throw new SlipwayError("INVALID", `${arn} is no target`);
		if (this.gone.has(arn)) throw new SlipwayError("NOT_FOUND", `${arn} is not there`);
	}

	handOver(arn: string, delivery: Delivery): Handover {
		this.check(arn);
		if (arn.includes(":sqs:")) {
			const { id, body, attributes } = delivery;
			return {
				kind: "append",
				changes: [{ change: "append", lane: laneOfQueue(arn), id, body, headers: { ...attributes } }],
			};
		}
		return {
			kind: "call",
			run: async () => {
				this.calls.push({ arn, delivery });
				return this.answer(arn, delivery);
			},
		};
	}
}

const success: CallOutcome = { ok: true, status: 200, headers: {}, body: new Uint8Array() };

export function countingIds(): Ids {
	let count = 0;
	return {
		uuid: () => `00000000-0000-4000-8000-${String(++count).padStart(12, "0")}`,
		hex: (bytes) =>
			createHash("sha256")
				.update(String(++count))
				.digest("hex")
				.slice(0, bytes * 2),
	};
}

export class ScheduleWorld implements Disposable {
	readonly clock = new VirtualClock();
	readonly log: FakeMessageLog;
	readonly store = new FakeResourceStore();
	readonly targets = new FakeTargets();
	readonly ids = countingIds();

	/** `idleMs`: instead of the log's own looks at the clock, once a minute: months would take that many turns. */
	constructor({ idleMs = minuteMs }: { idleMs?: number } = {}) {
		const { now, after } = this.clock;
		this.log = new FakeMessageLog({ clock: { now, after: (ms, run) => after(ms === minuteMs ? idleMs : ms, run) } });
	}

	/** What a process is given: after `kill` nothing of it takes effect any more. */
	process(options: Partial<SchedulesDeps> = {}): { deps: SchedulesDeps; kill(): void } {
		let alive = true;
		const never = new Promise<never>(() => {});
		const guarded = <T extends object>(port: T): T =>
			new Proxy(port, {
				get: (target, name) => {
					const member: unknown = Reflect.get(target, name);
					if (typeof member !== "function") return member;
					return (...args: unknown[]) => (alive ? Reflect.apply(member, target, args) : never);
				},
			});
		const { clock, ids, targets } = this;
		const deps: SchedulesDeps = {
			store: guarded<ResourceStore>(this.store),
			log: guarded<MessageLog>(this.log),
			targets,
			clock: {
				now: clock.now,
				monotonic: clock.monotonic,
				after: (ms, run) => clock.after(ms, () => alive && run()),
				sleep: (ms, signal) => clock.sleep(ms, signal).then(() => (alive ? undefined : never)),
			},
			ids,
			logger: silentLog,
			region,
			accountId,
			...options,
		};
		return {
			deps,
			kill: () => {
				alive = false;
				this.log.restart();
			},
		};
	}

	[Symbol.dispose](): void {
		this.log[Symbol.dispose]();
	}
}

export function spec(
	expression: string,
	options: Partial<ScheduleSpec> & { to?: Partial<ScheduleTarget> } = {},
): ScheduleSpec {
	const { to, ...rest } = options;
	return {
		expression,
		enabled: true,
		deleteAfterCompletion: false,
		target: { arn: functionArn, roleArn: `arn:aws:iam::${accountId}:role/r`, input: "{}", ...to },
		...rest,
	};
}
