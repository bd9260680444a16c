import { randomBytes, randomUUID } from "node:crypto";

/** Random identifiers as a dependency, so that simulations can seed them. */
export interface Ids {
	/** RFC 9562 version 4. */
	uuid(): string;
	/** Lower-case hexadecimal, two characters a byte. */
	hex(bytes: number): string;
}

/** A few bytes cost as much as this many at once, 15 microseconds: too much for every request. */
const poolBytes = 4096;
let pool = Buffer.alloc(0);
let taken = 0;

export const randomIds: Ids = {
	uuid: () => randomUUID(),
	hex(bytes) {
		if (bytes > poolBytes) return randomBytes(bytes).toString("hex");
		if (taken + bytes > pool.length) {
			pool = randomBytes(poolBytes);
			taken = 0;
		}
		const from = taken;
		taken += bytes;
		return pool.toString("hex", from, taken);
	},
};

/** RFC 9562 version 7: later ones sort after earlier ones by milliseconds, so that an index of them grows at its end only. */
export function timeOrderedUuid(nowMs: number, ids: Pick<Ids, "hex">): string {
	const time = Math.trunc(nowMs).toString(16).padStart(12, "0");
	// 19 digits: the last of an even number, where those of a test count.
	const random = ids.hex(10).slice(1);
	const variant = ((Number.parseInt(random[3] ?? "0", 16) & 0x3) | 0x8).toString(16);
	return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-${variant}${random.slice(4, 7)}-${random.slice(7, 19)}`;
}
