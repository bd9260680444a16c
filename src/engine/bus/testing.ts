/** For tests: a bus over fakes, in virtual time. Queues are lanes `sqs/NAME`; services answer as the test says. */
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { SlipwayError } from "../../base/error.ts";
import { type Log, silentLog } from "../../base/log.ts";
import type { CallOutcome, Delivery, TargetKind } from "../../core/delivery/target.ts";
import { FakeMessageLog } from "../../core/message-log/fake-message-log.ts";
import type { StoredMessage } from "../../core/message-log/message-log.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import { TargetRegistry } from "../delivery/targets.ts";
import { Bus } from "./bus.ts";
import { BusTarget } from "./bus-target.ts";
import type { ScheduledRules } from "./ports.ts";

export const testPlace = { region: "us-east-1", accountId: "123456789012" };

export function queueArn(name: string): string {
	return `arn:aws:sqs:us-east-1:123456789012:${name}`;
}

export const serviceArn = "arn:slipway:run:us-east-1:123456789012:service/default/hook/events/*";

class QueueKind implements TargetKind {
	readonly queues = new Set<string>();

	owns = (arn: string): boolean => arn.includes(":sqs:");

	check(arn: string): void {
		const name = arn.split(":")[5] ?? "";
		if (!this.queues.has(name)) throw new SlipwayError("NOT_FOUND", `There is no queue '${name}'`);
	}

	handOver(arn: string, { id, correlation, body, attributes, traceId, messageGroupId }: Delivery) {
		this.check(arn);
		const headers = { attributes, traceId, messageGroupId };
		return {
			kind: "append" as const,
			changes: [{ change: "append" as const, lane: `sqs/${arn.split(":")[5]}`, id, correlation, body, headers }],
		};
	}
}

class ServiceKind implements TargetKind {
	readonly calls: { atMs: number; delivery: Delivery }[] = [];
	answer: (call: number) => CallOutcome = () => ({ ok: true, status: 200, headers: {}, body: new Uint8Array() });
	readonly #clock: VirtualClock;

	constructor(clock: VirtualClock) {
		this.#clock = clock;
	}

	owns = (arn: string): boolean => arn.includes(":run:");
	check(): void {}

	handOver(_arn: string, delivery: Delivery) {
		return {
			kind: "call" as const,
			run: async (): Promise<CallOutcome> => {
				this.calls.push({ atMs: this.#clock.now(), delivery });
				return this.answer(this.calls.length);
			},
		};
	}
}

/** Numbers that count up, as texts of the length that was asked for. */
export function countingIds() {
	let count = 0;
	const hex = (bytes: number) => (++count).toString(16).padStart(bytes * 2, "0");
	return { hex, uuid: () => `00000000-0000-4000-8000-${hex(6)}` };
}

export class TestBus implements AsyncDisposable {
	readonly clock = new VirtualClock();
	readonly log = new FakeMessageLog({ clock: this.clock });
	readonly store = new FakeResourceStore();
	readonly ids = countingIds();
	readonly queueKind = new QueueKind();
	readonly service = new ServiceKind(this.clock);
	readonly targets = new TargetRegistry([this.queueKind, this.service]);
	ticks: ScheduledRules | undefined;
	logger: Log = silentLog;
	#bus: Bus | undefined;

	constructor() {
		this.targets.add(new BusTarget({ bus: () => this.#bus, ids: this.ids, ...testPlace }));
	}

	get bus(): Bus {
		if (!this.#bus) throw new Error("The bus is not open");
		return this.#bus;
	}

	async open(): Promise<this> {
		const { store, log, targets, ticks, clock, ids, logger } = this;
		this.#bus = await Bus.open({ store, log, targets, ticks, clock, ids, logger, ...testPlace });
		this.#bus.start();
		return this;
	}

	/** As when the process was killed and another one begins; what was in hand is lost with the first. */
	async restart(): Promise<void> {
		const killed = this.#bus;
		this.log.restart();
		const ended = killed?.[Symbol.asyncDispose]();
		await this.clock.advance(20_000);
		await ended;
		await this.open();
	}

	/** A rule with a pattern and a target. */
	async rule(
		name: string,
		eventPattern: object,
		target: Partial<Parameters<Bus["putTargets"]>[2][number]>,
		bus = "default",
	) {
		await this.bus.putRule(bus, name, { eventPattern: JSON.stringify(eventPattern), enabled: true });
		await this.bus.putTargets(bus, name, [{ id: "t", arn: queueArn("q"), ...target }]);
	}

	publish(detail: object, source = "app", bus = "default") {
		return this.bus.publish(bus, [{ source, detailType: "Order", detail: JSON.stringify(detail) }]);
	}

	/** What is in a queue, once everything that is due has been done. */
	async queued(name: string): Promise<StoredMessage[]> {
		await this.clock.advance(0);
		return this.log.scan(`sqs/${name}`, { limit: 1000 });
	}

	async bodies(name: string): Promise<unknown[]> {
		return (await this.queued(name)).map(({ body }) => JSON.parse(Buffer.from(body).toString()) as unknown);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const ended = this.#bus?.[Symbol.asyncDispose]();
		await this.clock.advance(20_000);
		await ended;
		this.log[Symbol.dispose]();
	}
}
