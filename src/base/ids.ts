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
