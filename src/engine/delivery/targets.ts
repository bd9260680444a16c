import { SlipwayError } from "../../base/error.ts";
import type { Delivery, Handover, TargetKind, Targets } from "../../core/delivery/target.ts";

/** All kinds of targets together: the first that owns an ARN answers for it. */
export class TargetRegistry implements Targets {
	readonly #kinds: TargetKind[];

	constructor(kinds: readonly TargetKind[]) {
		this.#kinds = [...kinds];
	}

	/** Kinds that are made of what needs the registry itself: a function's destinations are targets, and so is a function. */
	add(kind: TargetKind): void {
		this.#kinds.push(kind);
	}

	check(arn: string): void {
		this.#kindOf(arn).check(arn);
	}

	handOver(arn: string, delivery: Delivery): Handover {
		return this.#kindOf(arn).handOver(arn, delivery);
	}

	#kindOf(arn: string): TargetKind {
		const kind = this.#kinds.find((one) => one.owns(arn));
		if (kind) return kind;
		throw new SlipwayError(
			"INVALID",
			`'${arn.slice(0, maxShownArn)}' is not the ARN of anything that can get events here`,
			{
				hint: "Targets are functions, SQS queues, event buses and services of this installation",
			},
		);
	}
}

/** Characters of an ARN that an error repeats: ARNs are at most 2,048 long, and most of a wrong one says nothing. */
const maxShownArn = 300;
