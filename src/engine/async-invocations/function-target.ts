import { SlipwayError } from "../../base/error.ts";
import type { Delivery, Handover, TargetKind } from "../../core/delivery/target.ts";
import type { AsyncInvocations } from "./async-invocations.ts";

const functionArn =
	/^arn:aws[a-zA-Z-]*:lambda:([a-z0-9-]+):(\d{12}):function:([a-zA-Z0-9-_]{1,64})(?::(\$LATEST|[a-zA-Z0-9-_]{1,128}))?$/;

export interface FunctionTargetOptions {
	region: string;
	accountId: string;
}

/** Functions as targets: what is delivered to one is an asynchronous event of it, one more hop of its chain. */
export class FunctionTarget implements TargetKind {
	readonly #invocations: Pick<AsyncInvocations, "changes" | "requireFunction">;
	readonly #options: FunctionTargetOptions;

	constructor(invocations: Pick<AsyncInvocations, "changes" | "requireFunction">, options: FunctionTargetOptions) {
		this.#invocations = invocations;
		this.#options = options;
	}

	owns(arn: string): boolean {
		return functionArn.test(arn);
	}

	check(arn: string): void {
		const { name, qualifier } = this.#parse(arn);
		this.#invocations.requireFunction(name, qualifier);
	}

	handOver(arn: string, delivery: Delivery): Handover {
		const { name, qualifier } = this.#parse(arn);
		return { kind: "append", changes: this.#invocations.changes(name, qualifier, arn, delivery) };
	}

	#parse(arn: string): { name: string; qualifier: string | undefined } {
		const [, region, account, name = "", qualifier] = functionArn.exec(arn) ?? [];
		const { region: ownRegion, accountId } = this.#options;
		if (region !== ownRegion || account !== accountId)
			throw new SlipwayError("INVALID", `${arn} is not a function of this installation (${ownRegion}, ${accountId})`);
		return { name, qualifier };
	}
}
