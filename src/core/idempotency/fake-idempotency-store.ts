import { SlipwayError } from "../../base/error.ts";
import type { Claim, ClaimOutcome, Completion, IdempotencyKey, IdempotencyStore } from "./idempotency-store.ts";

interface Entry {
	token: string;
	attempt: number;
	leaseUntilMs: number;
	untilMs: number;
	result: Uint8Array | undefined;
}

/** An IdempotencyStore in memory, for tests. */
export class FakeIdempotencyStore implements IdempotencyStore {
	readonly #owners = new Map<string, Map<string, Entry>>();

	async claim({ owner, key }: IdempotencyKey, claim: Claim): Promise<ClaimOutcome> {
		const entries = this.#owners.get(owner) ?? new Map<string, Entry>();
		this.#owners.set(owner, entries);
		const found = entries.get(key);
		const live = found && found.untilMs > claim.nowMs ? found : undefined;
		if (live?.result) return { state: "completed", result: live.result, untilMs: live.untilMs };
		if (live && live.leaseUntilMs > claim.nowMs) return { state: "in-progress", leaseUntilMs: live.leaseUntilMs };
		if (!found && entries.size >= claim.maxKeys)
			throw new SlipwayError("EXHAUSTED", `'${owner}' has ${claim.maxKeys} keys`, { reason: "TooManyKeys" });
		const attempt = (live?.attempt ?? 0) + 1;
		const { token, leaseUntilMs, untilMs } = claim;
		entries.set(key, { token, attempt, leaseUntilMs, untilMs, result: undefined });
		return { state: "claimed", attempt };
	}

	async complete({ owner, key }: IdempotencyKey, { token, result, untilMs, maxBytes }: Completion): Promise<boolean> {
		const found = this.#owners.get(owner)?.get(key);
		if (found?.token !== token) return false;
		if (found.result) return true;
		if ((await this.usage(owner)).bytes + result.length > maxBytes)
			throw new SlipwayError("EXHAUSTED", `'${owner}' has ${maxBytes} bytes`, { reason: "TooManyBytes" });
		found.result = result.slice();
		found.untilMs = untilMs;
		return true;
	}

	async release({ owner, key }: IdempotencyKey, token: string): Promise<boolean> {
		const entries = this.#owners.get(owner);
		const found = entries?.get(key);
		if (!entries || found?.token !== token || found.result) return false;
		return entries.delete(key);
	}

	async sweep(nowMs: number, max: number): Promise<number> {
		const over = [...this.#owners.values()]
			.flatMap((entries) => [...entries].map(([key, entry]) => ({ entries, key, untilMs: entry.untilMs })))
			.filter(({ untilMs }) => untilMs <= nowMs)
			.sort((a, b) => a.untilMs - b.untilMs)
			.slice(0, max);
		for (const { entries, key } of over) entries.delete(key);
		return over.length;
	}

	async usage(owner: string): Promise<{ keys: number; bytes: number }> {
		const entries = [...(this.#owners.get(owner)?.values() ?? [])];
		return { keys: entries.length, bytes: entries.reduce((sum, { result }) => sum + (result?.length ?? 0), 0) };
	}
}
