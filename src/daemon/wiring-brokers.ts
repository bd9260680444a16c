/** Brokers outside: what speaks to them, and where their passwords come from. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { natsAdapter } from "../adapters/nats/adapter.ts";
import { postgresAdapter } from "../adapters/postgres/adapter.ts";
import { rabbitmqAdapter } from "../adapters/rabbitmq/adapter.ts";
import { redisAdapter } from "../adapters/redis/adapter.ts";
import { SlipwayError, systemCode } from "../base/error.ts";

export const brokerAdapters = {
	rabbitmq: rabbitmqAdapter,
	nats: natsAdapter,
	redis: redisAdapter,
	postgres: postgresAdapter,
};

/** Passwords by reference: a variable of the daemon's own environment, or a file of the home folder. */
export function brokerSecrets(home: string, environment: Readonly<Record<string, string | undefined>>) {
	return async (reference: { env: string } | { secret: string }): Promise<string> => {
		if ("env" in reference) {
			const value = environment[reference.env];
			if (value !== undefined) return value;
			throw new SlipwayError("NOT_FOUND", `The daemon's environment has no ${reference.env}`, {
				hint: "Set it where the daemon is started",
			});
		}
		const path = join(home, "secrets", reference.secret);
		try {
			return (await readFile(path, "utf8")).replace(/\r?\n$/, "");
		} catch (error) {
			if (systemCode(error) !== "ENOENT") throw error;
			throw new SlipwayError("NOT_FOUND", `There is no secret '${reference.secret}'`, {
				hint: `Write it to ${path} (mode 600)`,
				cause: error,
			});
		}
	};
}
