import type { Clock } from "../../base/clock.ts";
import type { InstanceSlots } from "./instance-slots.ts";

/** Between two times that others are asked to give way, milliseconds: who was busy may be idle now. */
const askEveryMs = 1000;

export interface SlotWaitDeps {
	clock: Clock;
	slots: InstanceSlots;
	/** The machine is full: somebody else may give way. */
	makeRoom: () => void;
	onFree: () => void;
}

/** One revision's place among those that wait for room on the machine. */
export class SlotWait {
	readonly #deps: SlotWaitDeps;
	#cancel: (() => void) | undefined;

	constructor(deps: SlotWaitDeps) {
		this.#deps = deps;
	}

	get isWaiting(): boolean {
		return this.#cancel !== undefined;
	}

	begin(): void {
		if (this.#cancel) return;
		const { clock, slots, makeRoom, onFree } = this.#deps;
		const leave = slots.whenFree(() => {
			this.end();
			onFree();
		});
		let cancelAsking = () => {};
		this.#cancel = () => {
			leave();
			cancelAsking();
		};
		const ask = () => {
			cancelAsking = clock.after(askEveryMs, ask);
			makeRoom();
		};
		ask();
	}

	end(): void {
		this.#cancel?.();
		this.#cancel = undefined;
	}
}
