/** Calls that are remembered: what is sent again after a lost answer comes within seconds. */
const maxCalls = 1_000;

/** Deletions by their ClientToken: the same call again finds nothing to delete, and is answered as the first one was. */
export class RecentCalls {
	readonly #tokens = new Map<string, string>();

	add(clientToken: string | undefined, subject: string): void {
		if (clientToken === undefined) return;
		this.#tokens.delete(clientToken);
		this.#tokens.set(clientToken, subject);
		const [oldest] = this.#tokens.keys();
		if (this.#tokens.size > maxCalls && oldest !== undefined) this.#tokens.delete(oldest);
	}

	has(clientToken: string | undefined, subject: string): boolean {
		return clientToken !== undefined && this.#tokens.get(clientToken) === subject;
	}
}
