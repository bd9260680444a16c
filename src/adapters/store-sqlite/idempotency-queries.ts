import { SlipwayError } from "../../base/error.ts";
import type {
	Claim,
	ClaimOutcome,
	Completion,
	IdempotencyKey,
	IdempotencyStore,
} from "../../core/idempotency/idempotency-store.ts";
import type { Database } from "./database.ts";

type Answers = { [Method in keyof IdempotencyStore]: Awaited<ReturnType<IdempotencyStore[Method]>> };

/** Keys are rows, and each owner's are counted in one of its own, so that a claim costs the same however many there are. */
export class IdempotencyQueries {
	readonly #db: Database;

	constructor(db: Database) {
		this.#db = db;
	}

	claim({ owner, key }: IdempotencyKey, claim: Claim): ClaimOutcome {
		const sql = "SELECT attempt, lease_until_ms, until_ms, result FROM idempotency WHERE owner = ? AND key = ?";
		const row = this.#db.get(sql, owner, key);
		const isLive = row !== undefined && Number(row.until_ms) > claim.nowMs;
		if (isLive && row.result instanceof Uint8Array)
			return { state: "completed", result: row.result, untilMs: Number(row.until_ms) };
		if (isLive && Number(row.lease_until_ms) > claim.nowMs)
			return { state: "in-progress", leaseUntilMs: Number(row.lease_until_ms) };
		if (row === undefined && this.usage(owner).keys >= claim.maxKeys) throw tooMany("Keys", `${claim.maxKeys} keys`);
		const attempt = isLive ? Number(row.attempt) + 1 : 1;
		const bytes = row?.result instanceof Uint8Array ? row.result.length : 0;
		this.#db.run(
			"INSERT INTO idempotency (owner, key, token, attempt, lease_until_ms, until_ms, result) VALUES (?, ?, ?, ?, ?, ?, NULL) ON CONFLICT DO UPDATE SET token = excluded.token, attempt = excluded.attempt, lease_until_ms = excluded.lease_until_ms, until_ms = excluded.until_ms, result = NULL",
			owner,
			key,
			claim.token,
			attempt,
			claim.leaseUntilMs,
			claim.untilMs,
		);
		this.#count(owner, row === undefined ? 1 : 0, -bytes);
		return { state: "claimed", attempt };
	}

	complete({ owner, key }: IdempotencyKey, { token, result, untilMs, maxBytes }: Completion): boolean {
		const sql = "SELECT result IS NOT NULL AS done FROM idempotency WHERE owner = ? AND key = ? AND token = ?";
		const row = this.#db.get(sql, owner, key, token);
		if (row === undefined) return false;
		if (row.done) return true;
		if (this.usage(owner).bytes + result.length > maxBytes) throw tooMany("Bytes", `${maxBytes} bytes of results`);
		this.#db.run(
			"UPDATE idempotency SET result = ?, until_ms = ? WHERE owner = ? AND key = ?",
			result,
			untilMs,
			owner,
			key,
		);
		this.#count(owner, 0, result.length);
		return true;
	}

	release({ owner, key }: IdempotencyKey, token: string): boolean {
		const sql = "DELETE FROM idempotency WHERE owner = ? AND key = ? AND token = ? AND result IS NULL";
		const released = this.#db.run(sql, owner, key, token) > 0;
		if (released) this.#count(owner, -1, 0);
		return released;
	}

	sweep(nowMs: number, max: number): number {
		const sql =
			"SELECT owner, key, coalesce(length(result), 0) AS bytes FROM idempotency WHERE until_ms <= ? ORDER BY until_ms LIMIT ?";
		const over = this.#db.all(sql, nowMs, max);
		for (const { owner, key, bytes } of over) {
			this.#db.run("DELETE FROM idempotency WHERE owner = ? AND key = ?", owner as string, key as string);
			this.#count(owner as string, -1, -Number(bytes));
		}
		return over.length;
	}

	usage(owner: string): Answers["usage"] {
		const row = this.#db.get("SELECT keys, bytes FROM idempotency_usage WHERE owner = ?", owner);
		return { keys: Number(row?.keys ?? 0), bytes: Number(row?.bytes ?? 0) };
	}

	#count(owner: string, keys: number, bytes: number): void {
		if (keys === 0 && bytes === 0) return;
		const sql =
			"INSERT INTO idempotency_usage (owner, keys, bytes) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET keys = keys + excluded.keys, bytes = bytes + excluded.bytes";
		this.#db.run(sql, owner, keys, bytes);
	}
}

function tooMany(what: "Keys" | "Bytes", bound: string): SlipwayError {
	return new SlipwayError("EXHAUSTED", `There is no room for another idempotency key: at most ${bound} are kept`, {
		reason: `TooMany${what}`,
		hint: "Keep keys and results for a shorter time (ttlSeconds)",
	});
}
