import type { Socket } from "node:net";
import type { AdmittedRequest, AdmittingInstance, RequestOutcome } from "../../core/service/request-admission.ts";
import type { ServiceRevision } from "../../core/service/service-revision.ts";
import type { PoolMember } from "./pool-member.ts";

/** Room in an instance that one request holds. */
export class Admission implements AdmittedRequest {
	readonly revision: ServiceRevision;
	readonly cold: boolean;
	readonly waitedMs: number;
	readonly #member: PoolMember;
	readonly #onRelease: (member: PoolMember, outcome: RequestOutcome) => void;
	#released = false;

	constructor(
		revision: ServiceRevision,
		member: PoolMember,
		start: { cold: boolean; waitedMs: number },
		onRelease: (member: PoolMember, outcome: RequestOutcome) => void,
	) {
		this.revision = revision;
		this.cold = start.cold;
		this.waitedMs = start.waitedMs;
		this.#member = member;
		this.#onRelease = onRelease;
	}

	get instance(): AdmittingInstance {
		return this.#member.instance satisfies AdmittingInstance & { connect(): Promise<Socket> };
	}

	release(outcome: RequestOutcome): void {
		if (this.#released) throw new Error("A request was released twice");
		this.#released = true;
		this.#onRelease(this.#member, outcome);
	}
}
