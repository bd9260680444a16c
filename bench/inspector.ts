/** The least of a client for V8's inspector (https://chromedevtools.github.io/devtools-protocol/). */
export class Inspector implements Disposable {
	readonly #socket: WebSocket;
	readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
	#calls = 0;

	private constructor(socket: WebSocket) {
		this.#socket = socket;
		socket.addEventListener("message", ({ data }) => this.#receive(String(data)));
		socket.addEventListener("close", () => {
			for (const { reject } of this.#waiting.values()) reject(new Error("The inspector closed the connection"));
		});
	}

	/** Of the process that listens for debuggers on this port of the machine. */
	static async open(port: number): Promise<Inspector> {
		const answer = await fetch(`http://127.0.0.1:${port}/json/list`);
		const [target] = (await answer.json()) as { webSocketDebuggerUrl: string }[];
		if (!target) throw new Error("The inspector has no target");
		const socket = new WebSocket(target.webSocketDebuggerUrl);
		await new Promise((resolve, reject) => {
			socket.addEventListener("open", resolve, { once: true });
			socket.addEventListener("error", reject, { once: true });
		});
		return new Inspector(socket);
	}

	/** The call's result; rejects with the inspector's own words. */
	call(method: string, params: object = {}): Promise<unknown> {
		const id = ++this.#calls;
		const waiting = Promise.withResolvers<unknown>();
		this.#waiting.set(id, waiting);
		this.#socket.send(JSON.stringify({ id, method, params }));
		return waiting.promise;
	}

	[Symbol.dispose](): void {
		this.#socket.close();
	}

	#receive(text: string): void {
		const { id, result, error } = JSON.parse(text) as { id?: number; result?: unknown; error?: { message: string } };
		const waiting = id === undefined ? undefined : this.#waiting.get(id);
		if (id === undefined || !waiting) return;
		this.#waiting.delete(id);
		if (error) waiting.reject(new Error(error.message));
		else waiting.resolve(result);
	}
}
