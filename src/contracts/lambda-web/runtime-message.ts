import type { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { http } from "../../base/http.ts";

/**
 * What the Runtime API's calls take as a request, made here rather than read from a connection: the session's own runtime is in
 * the same process. `onRoom` is called whenever there is room for more.
 */
export class RuntimeMessage extends http.IncomingMessage {
	#onRoom: () => void = () => {};

	constructor(headers: Readonly<Record<string, string>>) {
		// Never connected: cutting an answer means destroying the socket that it comes from.
		super(new Socket());
		this.headers = { ...headers };
		this.complete = true;
		this.socket.once("close", () => this.destroy());
		// Its end is told to whoever asked for it; an error event without a listener would end the process.
		this.on("error", () => {});
	}

	onRoom(listener: () => void): void {
		this.#onRoom = listener;
	}

	override _read(): void {
		this.#onRoom();
	}
}

/** One that is all there. */
export function wholeMessage(body: Uint8Array, headers: Readonly<Record<string, string>>): IncomingMessage {
	const message = new RuntimeMessage(headers);
	message.push(body);
	message.push(null);
	return message;
}
