import { Queue } from "../../base/queue.ts";
import type { FunctionSandbox } from "../sandbox/function-sandbox.ts";
import type { QueuedStart } from "./start-queue.ts";

/** The pool whose starts these are, and the machine. */
export interface EventStartsHost {
	/** Begins the start when its turn has come, maybe now. What is returned takes it back before. */
	enter: (start: QueuedStart) => () => void;
	/** The sandbox that room was made for is made now, or never will be. */
	takeRoom: () => void;
	/** The environment that was taken for it will not be used after all. */
	giveBackEnvironment: () => void;
	/** A created spare that is not needed after all. */
	giveBackSpare: (spare: FunctionSandbox) => void;
	/** The daemon stops: nothing is to begin any more. */
	isClosed: () => boolean;
	/** A turn has come that `isClosed` forbids. */
	onClosed: () => void;
	newSandbox: () => FunctionSandbox;
	/** Starts the sandbox, of which `over` is told when it is initialised or could not be; settles with the start. */
	start: (sandbox: FunctionSandbox, spare: boolean, onCreated: () => void) => Promise<void>;
}

/** A start whose turn has not come. */
interface WaitingStart {
	/** What it will start; undefined when that is still to be made. */
	spare: FunctionSandbox | undefined;
	/** Room was made for it. */
	hasRoom: boolean;
	leave: () => void;
}

/**
 * The starts of sandboxes for the events of one pool that wait, and their take-back: those that no event waits for any more
 * and whose turn has not come never begin.
 */
export class EventStarts {
	readonly #host: EventStartsHost;
	/** Those that have not begun; the last one is the first to be taken back. */
	readonly #waiting = new Queue<WaitingStart>();
	#size = 0;
	#unmade = 0;

	constructor(host: EventStartsHost) {
		this.#host = host;
	}

	/** Those that are not over, whether they have begun or not. */
	get size(): number {
		return this.#size;
	}

	/** Of these, those whose sandboxes are still to be made. */
	get unmade(): number {
		return this.#unmade;
	}

	add(spare: FunctionSandbox | undefined, hasRoom: boolean): void {
		this.#size++;
		const waiting: WaitingStart = { spare, hasRoom, leave: () => {} };
		const entry = this.#waiting.push(waiting);
		if (!spare) this.#unmade++;
		waiting.leave = this.#host.enter({
			created: spare !== undefined,
			begin: (onCreated) => {
				this.#waiting.remove(entry);
				if (this.#host.isClosed()) return this.#closeInstead(waiting);
				const sandbox = spare ?? this.#host.newSandbox();
				this.#dequeued(waiting);
				return this.#host.start(sandbox, spare !== undefined, onCreated);
			},
		});
	}

	/** An init that was begun ahead of any event is now one's start. */
	takeOver(): void {
		this.#size++;
	}

	/** The start of a sandbox is over, in whichever way. */
	over(): void {
		this.#size--;
	}

	/** Takes back what is more than `needed`, as far as it has not begun: it has cost nothing. */
	takeBackBeyond(needed: number): void {
		while (this.#size > needed) {
			const waiting = this.#waiting.pop();
			if (!waiting) return;
			waiting.leave();
			this.#size--;
			this.#host.giveBackEnvironment();
			this.#dequeued(waiting);
			if (waiting.spare) this.#host.giveBackSpare(waiting.spare);
		}
	}

	async #closeInstead(waiting: WaitingStart): Promise<void> {
		this.#size--;
		this.#dequeued(waiting);
		this.#host.onClosed();
	}

	#dequeued({ spare, hasRoom }: WaitingStart): void {
		if (!spare) this.#unmade--;
		if (hasRoom) this.#host.takeRoom();
	}
}
