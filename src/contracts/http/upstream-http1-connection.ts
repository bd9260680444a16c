/** One connection to a container that speaks HTTP/1.1: one request at a time, kept between them. */
import type { Socket } from "node:net";
import { systemCode } from "../../base/error.ts";
import { isQuiet } from "../../base/syscall.ts";
import { type AnswerEvents, AnswerParser, MalformedAnswer } from "./answer-parser.ts";

/** Who has sent a request on the connection. */
export interface ConnectionUser extends AnswerEvents {
	onDrain(): void;
	/** The connection is of no use any more. `heard`: a byte of the answer had come. */
	broken(failure: "closed" | "malformed", message: string, heard: boolean): void;
}

/** It has ended, or is of no use any more, while nobody used it. `unasked`: it said what nobody had asked for. */
export type IdleEnd = (connection: Http1Connection, unasked: boolean) => void;

export class Http1Connection {
	readonly socket: Socket;
	/** Whether a request has been answered on it. */
	used = false;
	/** Until when it may be used, on the monotonic clock, while nobody does. */
	keepUntil = 0;
	readonly #parser = new AnswerParser();
	readonly #onIdleEnd: IdleEnd;
	#user: ConnectionUser | undefined;

	constructor(socket: Socket, onIdleEnd: IdleEnd) {
		this.socket = socket;
		this.#onIdleEnd = onIdleEnd;
		socket.on("data", this.#onData);
		socket.on("end", this.#onEnd);
		socket.on("error", this.#onError);
		socket.on("close", this.#onClose);
		socket.on("drain", this.#onDrain);
	}

	/** False: the container has closed it, which may not have been told to us yet, or says what nobody asked for. */
	get isOpen(): boolean {
		const fd = (this.socket as { _handle?: { fd?: number } })._handle?.fd;
		return fd !== undefined && fd >= 0 && isQuiet(fd);
	}

	/** How long the container says that it keeps it, milliseconds. */
	get keptMs(): number {
		return this.#parser.keptMs;
	}

	begin(method: string, user: ConnectionUser): void {
		this.#user = user;
		this.#parser.begin(method, user);
	}

	/** After the answer. False: it cannot be used again, and is gone. */
	release(): boolean {
		this.#user = undefined;
		const { socket } = this;
		if (!this.#parser.persistent || socket.destroyed || socket.readableEnded || !socket.writable) {
			socket.destroy();
			return false;
		}
		this.used = true;
		if (socket.isPaused()) socket.resume();
		return true;
	}

	/** No event follows. */
	destroy(): void {
		this.#user = undefined;
		this.socket.destroy();
	}

	#onData = (chunk: Buffer): void => {
		// That it closes an idle connection (RFC 9110, 15.5.9) some servers say with an answer.
		if (!this.#user) return this.#endIdle(!chunk.toString("latin1", 0, 16).includes(" 408"));
		try {
			this.#parser.read(chunk);
			// Before anybody else could send a request, whose answer it would seem to be.
			if (this.#parser.surplus) this.#endIdle(true);
		} catch (error) {
			if (!(error instanceof MalformedAnswer)) throw error;
			this.#break("malformed", error.message);
		}
	};

	#onEnd = (): void => {
		if (!this.#user) return this.#endIdle(false);
		if (this.#parser.close()) return;
		this.#break("closed", this.#whenClosed());
	};

	#onError = (error: Error): void => {
		if (this.#user) this.#break("closed", this.#whenClosed(systemCode(error) ?? error.message));
	};

	#onClose = (): void => {
		if (this.#user) this.#break("closed", this.#whenClosed());
		else this.#endIdle(false);
	};

	#onDrain = (): void => {
		this.#user?.onDrain();
	};

	#whenClosed(code?: string): string {
		if (this.#parser.heard) return "closed the connection in the middle of its answer";
		return `closed the connection before it answered${code === undefined ? "" : ` (${code})`}`;
	}

	#break(failure: "closed" | "malformed", message: string): void {
		const user = this.#user;
		this.destroy();
		user?.broken(failure, message, this.#parser.heard);
	}

	#endIdle(unasked: boolean): void {
		this.socket.destroy();
		this.#onIdleEnd(this, unasked);
	}
}
