/** Dead letters on their way back: to the lane they came from, or handed to the target that did not take them. */
import type { Clock } from "../../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import { type Ids, timeOrderedUuid } from "../../base/ids.ts";
import { parseLane } from "../../core/delivery/lane-name.ts";
import type { Delivery, Targets } from "../../core/delivery/target.ts";
import type { LeasedMessage, MessageLog, StoredMessage } from "../../core/message-log/message-log.ts";
import { fromStored } from "../../core/queue/stored-message.ts";
import type { ReplayRequest, ReplayResult } from "./types.ts";

export interface ReplayDeps {
	log: MessageLog;
	clock: Clock;
	ids: Ids;
	targets: Targets;
	region: string;
	accountId: string;
}

/** Messages of one call, so that it ends: a caller with more calls again. */
export const maxReplay = 100_000;
/** Of a scan, and of a move. */
const pageSize = 1000;
const shownProblems = 20;
/** Messages handed over at once. */
const atOnce = 10;
/**
 * Lanes of messages that are being handed over: they were moved there from where they lay dead, so that nobody else takes them, and
 * go back there when it fails or the daemon ends.
 */
const underWay = "replay/";

export class Replay {
	readonly #deps: ReplayDeps;

	constructor(deps: ReplayDeps) {
		this.#deps = deps;
	}

	/** What an earlier process was at goes back to where it lay. */
	async recover(): Promise<void> {
		const { log } = this.#deps;
		for (const { lane } of await log.lanes(underWay)) await this.#giveBack(lane);
	}

	async run(request: ReplayRequest): Promise<ReplayResult> {
		const { lane, target, max = maxReplay } = request;
		if (target !== undefined) this.#deps.targets.check(target);
		const result: ReplayResult = { replayed: 0, kept: 0, problems: [] };
		// What fails goes back to the lane's end: it is not tried again in the same call.
		const failed = new Set<string>();
		let after = 0;
		for (let left = Math.min(max, maxReplay); left > 0; ) {
			const { fromMs, toMs } = request;
			const page = await this.#deps.log.scan(lane, { limit: pageSize, after, fromMs, toMs });
			after = page.at(-1)?.sequence ?? after;
			const wanted = page.filter(({ id }) => !failed.has(id) && (request.ids?.includes(id) ?? true));
			const chosen = wanted.slice(0, left);
			left -= chosen.length;
			await this.#replayPage(lane, chosen, target, result, failed);
			if (page.length < pageSize || wanted.length > chosen.length) break;
		}
		return result;
	}

	async #replayPage(
		lane: string,
		messages: readonly StoredMessage[],
		target: string | undefined,
		result: ReplayResult,
		failed: Set<string>,
	): Promise<void> {
		const held = messages.filter(({ state }) => state === "leased");
		for (const { id } of held) note(result, id, "Somebody holds it now: try again when it is visible");
		const free = messages.filter(({ state }) => state !== "leased");
		if (target === undefined) await this.#moveBack(lane, free.filter(hasOrigin), result);
		const byTarget = new Map<string, string[]>();
		for (const message of target === undefined ? free.filter((one) => !hasOrigin(one)) : free) {
			const arn = target ?? (await this.#targetOf(message));
			if (arn === undefined) note(result, message.id, "It is not known where it came from: say where to (--to)");
			else byTarget.set(arn, [...(byTarget.get(arn) ?? []), message.id]);
		}
		for (const [arn, ids] of byTarget) await this.#handOverAll(lane, ids, arn, result, failed);
	}

	async #moveBack(lane: string, messages: readonly StoredMessage[], result: ReplayResult): Promise<void> {
		if (messages.length === 0) return;
		const ids = messages.map(({ id }) => id);
		const moved = await this.#deps.log.move(lane, { max: ids.length, to: "origin", ids });
		result.replayed += moved;
		if (moved < ids.length) result.kept += ids.length - moved;
	}

	/** Of a dead letter that is a message of its own: rules and schedules name their target in it, functions are found by the trail. */
	async #targetOf(message: StoredMessage): Promise<string | undefined> {
		const { log, region, accountId } = this.#deps;
		const named = parseLane(message.lane).kind === "queue" ? fromStored(message).attributes.TARGET_ARN : undefined;
		if (named?.stringValue) return named.stringValue;
		if (message.correlation === undefined) return undefined;
		const ends = (await log.trail(message.correlation)).filter(
			({ id, result }) => id === message.correlation && (result === "dead" || result === "expired"),
		);
		const subject = parseLane(ends.at(-1)?.lane ?? "");
		if (subject.kind !== "function") return undefined;
		const { name, qualifier } = subject;
		return `arn:aws:lambda:${region}:${accountId}:function:${name}${qualifier === undefined ? "" : `:${qualifier}`}`;
	}

	async #handOverAll(
		lane: string,
		ids: readonly string[],
		arn: string,
		result: ReplayResult,
		failed: Set<string>,
	): Promise<void> {
		const { log, ids: newIds } = this.#deps;
		const own = `${underWay}${newIds.uuid()}`;
		try {
			const moved = await log.move(lane, { max: ids.length, to: { lane: own }, ids, untold: true });
			if (moved < ids.length) result.kept += ids.length - moved;
			for (;;) {
				const messages = await log.lease(own, { max: atOnce, visibility: "process" });
				if (messages.length === 0) break;
				const taken = await Promise.all(messages.map((message) => this.#handOver(message, lane, arn, result)));
				for (const [index, { id }] of messages.entries()) if (!taken[index]) failed.add(id);
			}
		} finally {
			await this.#giveBack(own);
		}
	}

	/** Whether it went. */
	async #handOver(message: LeasedMessage, from: string, arn: string, result: ReplayResult): Promise<boolean> {
		const { log, targets } = this.#deps;
		try {
			const handover = targets.handOver(arn, this.#deliveryOf(message, from));
			const done = { change: "settle", token: message.token, outcome: "done", detail: { replayedTo: arn } } as const;
			if (handover.kind === "call") {
				const outcome = await handover.run(new AbortController().signal);
				if (!outcome.ok) throw new SlipwayError("UNAVAILABLE", `${outcome.code}: ${outcome.message}`);
			}
			await log.commit(handover.kind === "append" ? [...handover.changes, done] : [done]);
			result.replayed++;
			return true;
		} catch (error) {
			if (!isSlipwayError(error)) throw error;
			note(result, message.id, error.message);
			const token = message.token;
			const detail = { replayFailed: error.message };
			await log.commit([{ change: "settle", token, outcome: "move", lane: from, detail }]);
			return false;
		}
	}

	#deliveryOf(message: LeasedMessage, from: string): Delivery {
		const { clock, ids, region, accountId } = this.#deps;
		const subject = parseLane(from);
		const { body, traceHeader, groupId } = fromStored(message);
		return {
			id: timeOrderedUuid(clock.now(), ids),
			correlation: message.correlation ?? message.id,
			body,
			sourceArn:
				subject.kind === "queue"
					? `arn:aws:sqs:${region}:${accountId}:${subject.name}`
					: `arn:slipway:events:${region}:${accountId}:${from}`,
			...(traceHeader !== undefined && { traceId: traceHeader }),
			...(groupId !== undefined && { messageGroupId: groupId }),
		};
	}

	async #giveBack(lane: string): Promise<void> {
		const { log } = this.#deps;
		while ((await log.move(lane, { max: pageSize, to: "origin", untold: true })) > 0);
		const left = (await log.lanes(lane)).find((one) => one.lane === lane);
		if (left && left.visible + left.delayed + left.inFlight === 0) await log.removeLane(lane);
	}
}

function hasOrigin({ origin }: StoredMessage): boolean {
	return origin !== undefined && !origin.startsWith(underWay);
}

function note(result: ReplayResult, id: string, problem: string): void {
	result.kept++;
	if (result.problems.length < shownProblems) result.problems.push({ id, problem });
}
