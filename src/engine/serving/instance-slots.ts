/** How many instances this machine may have at once, shared by all that start some. */
export interface InstanceSlots {
	/** Undefined when all are taken. What is returned gives it back, once. */
	tryAcquire(): (() => void) | undefined;
	/** Called once, when one may have become free: in the order of these calls, one for each. What is returned takes it back. */
	whenFree(callback: () => void): () => void;
}

export class BoundedSlots implements InstanceSlots {
	readonly #max: number;
	#taken = 0;
	readonly #waiting = new Set<() => void>();

	constructor(max: number) {
		this.#max = max;
	}

	get taken(): number {
		return this.#taken;
	}

	tryAcquire(): (() => void) | undefined {
		if (this.#taken >= this.#max) return undefined;
		this.#taken++;
		let held = true;
		return () => {
			if (!held) return;
			held = false;
			this.#taken--;
			const [next] = this.#waiting;
			if (!next) return;
			this.#waiting.delete(next);
			next();
		};
	}

	whenFree(callback: () => void): () => void {
		// A caller may wait twice with the same function.
		const waiter = () => callback();
		this.#waiting.add(waiter);
		return () => void this.#waiting.delete(waiter);
	}
}
