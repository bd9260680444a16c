import { randomBytes, randomUUID } from "node:crypto";

/** Random identifiers as a dependency, so that simulations can seed them. */
export interface Ids {
	/** RFC 9562 version 4. */
	uuid(): string;
	/** Lower-case hexadecimal, two characters a byte. */
	hex(bytes: number): string;
}

export const randomIds: Ids = {
	uuid: () => randomUUID(),
	hex: (bytes) => randomBytes(bytes).toString("hex"),
};
