import type { Client } from "pg";
import { brokerUnavailable as unavailable } from "../../core/event-source/broker-unavailable.ts";
import type { BrokerAddress, SourceSession } from "../../core/event-source/event-source.ts";
import { connectPostgres } from "./connection.ts";

/** One connection from its being made to its end, for both kinds of source. */
export async function withConnection(
	address: BrokerAddress,
	session: SourceSession,
	what: string,
	consume: (client: Client, wake: Wake) => Promise<void>,
): Promise<void> {
	if (session.signal.aborted) return;
	const client = await connectPostgres(address);
	const { promise: lost, reject: lose } = Promise.withResolvers<never>();
	lost.catch(() => {});
	client.once("end", () => {
		lose(unavailable("it was closed", `The connection to PostgreSQL at ${address.url.host} was lost`));
	});
	try {
		const consumed = consume(client, new Wake(session.signal)).catch((error: unknown) => {
			throw unavailable(error, `PostgreSQL, ${what}`);
		});
		await Promise.race([consumed, lost]);
	} finally {
		// Not waited for when the server is gone; an open transaction is rolled back.
		client.end().catch(() => {});
	}
}

/** Waits for the end of the session, a word from the server or some time, whichever is first. */
export class Wake {
	readonly #signal: AbortSignal;
	#called = false;
	#resolve: (() => void) | undefined;

	constructor(signal: AbortSignal) {
		this.#signal = signal;
		signal.addEventListener("abort", () => this.call(), { once: true });
	}

	call(): void {
		this.#called = true;
		this.#resolve?.();
	}

	async wait(ms: number): Promise<void> {
		if (!this.#called && !this.#signal.aborted)
			await new Promise<void>((resolve) => {
				const timer = setTimeout(resolve, ms);
				this.#resolve = () => {
					clearTimeout(timer);
					resolve();
				};
			});
		this.#called = false;
		this.#resolve = undefined;
	}
}
