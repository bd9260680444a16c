import type { Clock } from "../../base/clock.ts";
import { isSlipwayError, SlipwayError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { ScalableRevision, ScaleObservation } from "../../core/scaling/scalable-revision.ts";
import { scaleBounds } from "../../core/scaling/scale-bounds.ts";
import type { AdmitOptions, RequestOutcome } from "../../core/service/request-admission.ts";
import type { ScalingSettings } from "../../core/service/scaling-settings.ts";
import type { ServiceRevision } from "../../core/service/service-revision.ts";
import type { Instance } from "../../core/workload/instance.ts";
import { failuresAfter, restartDelayMs } from "../../core/workload/restart-delay.ts";
import type { Freezable, IdleFreezer } from "../dispatch/idle-freezer.ts";
import { Admission } from "./admission.ts";
import { DeploymentChecks } from "./deployment-checks.ts";
import type { InstanceSlots } from "./instance-slots.ts";
import { LoadAverage } from "./load-average.ts";
import { PoolMember } from "./pool-member.ts";
import { PoolMembers } from "./pool-members.ts";
import { Replacements } from "./replacements.ts";
import { RequestQueue } from "./request-queue.ts";
import { noInstanceInTime, noSlotInTime, revisionFailed, revisionGone, serviceDisabled } from "./revision-failures.ts";
import { RevisionUsage } from "./revision-usage.ts";
import { SlotWait } from "./slot-wait.ts";
import { StartHistory } from "./start-history.ts";

export interface PoolHost {
	clock: Clock;
	log: Log;
	slots: InstanceSlots;
	freezer: IdleFreezer;
	startInstance: (revision: ServiceRevision) => Instance;
	/** A request waits where none did: the autoscaler is not to wait for its next tick. */
	onWaiting: () => void;
	/** Somebody waits for an instance for which the machine has no room: an idle one of another revision may give way. */
	makeRoom: () => void;
	/** The longest that a request waits, milliseconds, however long the revision's own timeout is. */
	maxWaitMs: number;
	/** Requests of one revision that wait at once. */
	maxWaiting: number;
}

/**
 * The instances of one revision and the requests that want them: each request gets room in a ready instance, in order and
 * never more than its concurrency allows. How many instances there are the autoscaler says, except that one is started for
 * the first request that waits. A revision at zero holds no timer.
 */
export class RevisionPool implements ScalableRevision, Freezable {
	readonly revision: ServiceRevision;
	readonly usage = new RevisionUsage();
	reachable: boolean;
	readonly #host: PoolHost;
	readonly #members = new PoolMembers();
	#settings: ScalingSettings;
	readonly #queue: RequestQueue<PoolMember>;
	readonly #load: LoadAverage;
	#inFlight = 0;
	#arrivals = 0;
	#target = 0;
	readonly #replacements: Replacements;
	readonly #slotWait: SlotWait;
	readonly #starts = new StartHistory();
	readonly #checks = new DeploymentChecks();
	#retired: PromiseWithResolvers<void> | undefined;

	constructor(revision: ServiceRevision, host: PoolHost, reachable: boolean) {
		this.revision = revision;
		this.reachable = reachable;
		this.#settings = revision.scaling;
		this.#host = host;
		this.#load = new LoadAverage(host.clock.monotonic());
		this.#replacements = new Replacements(host.clock, () => this.#fill());
		this.#slotWait = new SlotWait({
			...host,
			makeRoom: () => void (this.#queue.size + this.#checks.size > 0 && host.makeRoom()),
			onFree: () => this.#fill(),
		});
		const limitMs = Math.min(revision.timeoutMs, host.maxWaitMs);
		this.#queue = new RequestQueue(
			host.clock,
			{ limitMs, max: host.maxWaiting },
			{ late: () => this.#lateError(limitMs), onLeave: () => this.#onLoad() },
		);
	}

	/** At first the revision's own; those of its service may change them. */
	get settings(): ScalingSettings {
		return this.#settings;
	}

	set settings(settings: ScalingSettings) {
		this.#settings = settings;
		if (settings.disabled) this.#queue.rejectAll(serviceDisabled(this.revision));
	}

	get progressDeadlineMs(): number {
		return this.revision.progressDeadlineMs;
	}

	get instances(): readonly PoolMember[] {
		return [...this.#members];
	}

	get waiting(): number {
		return this.#queue.size;
	}

	/** Instances that the autoscaler wants. */
	get target(): number {
		return this.#target;
	}

	/** Since when nobody asks for it, monotonic; undefined while somebody does, and while it has no instance to give. */
	get idleSince(): number | undefined {
		if (this.#retired || this.#inFlight + this.#queue.size > 0 || this.#members.alive <= this.#least) return undefined;
		return this.#members.idleSince;
	}

	/** Instances that it keeps without a request. */
	get #least(): number {
		const { min } = scaleBounds(this.#settings, { reachable: this.reachable, initialized: true });
		return Math.max(this.#settings.scaleToZero ? 0 : 1, min);
	}

	/** Errors as RequestAdmission.admit. */
	async admit({ signal, preferred }: AdmitOptions): Promise<Admission> {
		signal.throwIfAborted();
		this.#arrivals++;
		const open = this.#queue.size === 0 && !this.#retired && !this.#settings.disabled;
		const member = open ? this.#choose(preferred) : undefined;
		if (member) {
			this.#take(member);
			return this.#admission(member, { cold: false, waitedMs: 0 });
		}
		try {
			return await this.#admitLater(signal, preferred);
		} catch (error) {
			if (!signal.aborted && !this.#settings.disabled) this.usage.refused++;
			throw error;
		}
	}

	async #admitLater(signal: AbortSignal, preferred: string | undefined): Promise<Admission> {
		const refusal = this.#refusal();
		if (refusal) throw refusal;
		const { clock } = this.#host;
		const since = clock.monotonic();
		const cold = this.#members.serving === 0;
		const room = this.#queue.wait({ signal, preferred });
		this.#onLoad();
		if (this.#queue.size === 1) this.#host.onWaiting();
		// Whatever the autoscaler says: nobody waits for nothing.
		if (this.#target === 0 && this.#queue.size > 0) this.scaleTo(this.#settings.activationScale);
		const member = await room;
		if (cold) this.usage.coldStarts++;
		return this.#admission(member, { cold, waitedMs: clock.monotonic() - since });
	}

	#refusal(): SlipwayError | undefined {
		if (this.#retired) return revisionGone(this.revision.name);
		if (this.#settings.disabled) return serviceDisabled(this.revision);
		const { lastFailure, notBefore } = this.#starts;
		if (lastFailure === undefined) return undefined;
		const blocked = this.#members.alive === 0 && this.#host.clock.monotonic() < notBefore;
		return blocked ? revisionFailed(this.revision, lastFailure) : undefined;
	}

	#lateError(limitMs: number): SlipwayError {
		if (this.#slotWait.isWaiting) return noSlotInTime(this.revision);
		const { lastFailure } = this.#starts;
		if (this.#members.serving === 0 && lastFailure !== undefined) return revisionFailed(this.revision, lastFailure);
		return noInstanceInTime(this.revision, limitMs);
	}

	#choose(preferred: string | undefined): PoolMember | undefined {
		return this.#members.choose(this.revision.concurrency, preferred);
	}

	#admission(member: PoolMember, start: { cold: boolean; waitedMs: number }): Admission {
		return new Admission(this.revision, member, start, (of, outcome) => this.#onRelease(of, outcome));
	}

	#take(member: PoolMember): void {
		member.inFlight++;
		this.#inFlight++;
		this.#onLoad();
		if (!member.isFrozen) return;
		member.isFrozen = false;
		this.#report(member.instance.thaw(), "An instance could not be thawed", member);
	}

	#onRelease(member: PoolMember, outcome: RequestOutcome): void {
		this.usage.onOutcome(outcome);
		member.inFlight--;
		this.#inFlight--;
		this.#onLoad();
		this.#serve();
		if (member.inFlight > 0) return;
		if (member.isDraining) this.#stop(member);
		else this.#onIdle(member);
	}

	#onIdle(member: PoolMember): void {
		member.idleSince = this.#host.clock.monotonic();
		if (this.revision.cpu === "request" && member.isServing) this.#host.freezer.onIdle(this);
	}

	freezeIdle(beforeMs: number): number | undefined {
		return this.#members.freezeIdle(beforeMs, (member) => {
			member.isFrozen = true;
			this.#report(member.instance.freeze(), "An idle instance could not be frozen", member);
		});
	}

	#serve(): void {
		while (this.#queue.size > 0) {
			const member = this.#choose(this.#queue.firstPreferred);
			if (!member) return;
			this.#queue.serve(member);
			this.#take(member);
		}
	}

	#onLoad(): void {
		this.#load.set(this.#inFlight + this.#queue.size, this.#host.clock.monotonic());
	}

	observe(): ScaleObservation {
		const requests = this.#arrivals;
		this.#arrivals = 0;
		const ready = this.#members.serving;
		return {
			ready,
			starting: Math.max(0, this.#wanted - ready),
			concurrency: this.#load.take(this.#host.clock.monotonic()),
			requests,
			waiting: this.#queue.size,
		};
	}

	/** Those that are there or on their way, or would be if there was room. */
	get #wanted(): number {
		return Math.max(this.#members.alive + this.#replacements.size, this.#slotWait.isWaiting ? this.#target : 0);
	}

	scaleTo(wanted: number): void {
		if (this.#retired) return;
		// A decision for none crosses with the request that makes it wrong.
		this.#target = wanted === 0 && this.#queue.size > 0 ? 1 : wanted;
		this.#replacements.keep(Math.max(0, this.#target - this.#members.alive));
		for (let alive = this.#members.alive; alive > this.#target; alive--) {
			const surplus = this.#members.chooseSurplus();
			if (surplus) this.#drain(surplus);
		}
		this.#fill();
	}

	/** Ends instances that have no request, as far as its bounds let it. Resolves with how many, when they have ended. */
	async stopIdle(): Promise<number> {
		// Those on their way are not idle while somebody waits for them.
		if (this.#retired || this.#queue.size > 0) return 0;
		const idle = [...this.#members].filter(({ isDraining, inFlight }) => !isDraining && inFlight === 0);
		const { alive } = this.#members;
		this.scaleTo(Math.max(alive - idle.length, Math.min(alive, this.#least)));
		const stopped = idle.filter(({ isStopping }) => isStopping);
		await Promise.all(stopped.map(({ instance }) => instance.ended));
		return stopped.length;
	}

	#drain(member: PoolMember): void {
		member.isDraining = true;
		if (member.inFlight === 0) this.#stop(member);
	}

	#stop(member: PoolMember): void {
		if (member.isStopping) return;
		member.isStopping = true;
		this.#report(member.instance.stop(), "An instance could not be stopped", member);
	}

	#fill(): void {
		if (this.#retired) return;
		for (const member of this.#members) {
			if (this.#members.alive + this.#replacements.size >= this.#target) break;
			// It only waits for its last requests: others are welcome again.
			if (member.isDraining && !member.isStopping) member.isDraining = false;
		}
		for (const failed of this.#replacements.takeDue())
			if (!this.#start(failed.failures)) this.#replacements.add(failed);
		const { notBefore, failures } = this.#starts;
		while (this.#members.alive + this.#replacements.size < this.#target) {
			if (notBefore > this.#host.clock.monotonic()) this.#replacements.add({ dueAt: notBefore, failures });
			else if (!this.#start(failures)) break;
		}
		this.#replacements.arm();
		this.#stopSlotWait();
		this.#serve();
	}

	/** False when the machine has no room: then it is tried again when it has. */
	#start(failures: number): boolean {
		const { slots, clock, startInstance } = this.#host;
		const releaseSlot = slots.tryAcquire();
		if (!releaseSlot) {
			this.#slotWait.begin();
			return false;
		}
		let instance: Instance;
		try {
			instance = startInstance(this.revision);
		} catch (error) {
			releaseSlot();
			throw error;
		}
		const member = new PoolMember(instance, { at: clock.monotonic(), failures, releaseSlot });
		this.usage.starts++;
		this.#members.add(member);
		instance.onState(() => this.#serve());
		instance.ready.then(
			() => this.#onReady(member),
			(error) => this.#onFailed(member, error),
		);
		void instance.ended.then(() => this.#onEnded(member));
		return true;
	}

	#stopSlotWait(): void {
		if (this.#members.alive < this.#target || this.#replacements.size > 0) return;
		this.#slotWait.end();
	}

	#onReady(member: PoolMember): void {
		this.#starts.onReady();
		member.wasReady = true;
		this.#onIdle(member);
		this.#serve();
		this.#checks.pass();
	}

	#onFailed(member: PoolMember, error: unknown): void {
		// It was told to stop before it was ready: nothing is wrong with it.
		if (member.isStopping) return;
		this.usage.failedStarts++;
		this.#starts.onFailed(error, this.#host.clock.monotonic());
		// What the machine lacks now it may have in a while: who waits for that goes on waiting.
		if (!this.#starts.wasReady && !isSlipwayError(error, "EXHAUSTED")) {
			this.#queue.rejectAll(revisionFailed(this.revision, error));
			// Before the next one starts: what failed its check is not tried again.
			if (this.#checks.fail(error) > 0) this.scaleTo(0);
		}
		// One of its containers may still run; another instance takes its place.
		this.#report(member.instance.stop(), "An instance that failed could not be stopped", member);
	}

	#onEnded(member: PoolMember): void {
		this.#members.delete(member);
		member.releaseSlot();
		if (this.#retired) {
			if (this.#members.size === 0) this.#retired.resolve();
			return;
		}
		if (!member.isStopping && !member.isDraining && this.#members.alive + this.#replacements.size < this.#target) {
			const now = this.#host.clock.monotonic();
			const failures = failuresAfter(member.failures, now - member.startedAt);
			this.#replacements.add({ dueAt: now + restartDelayMs(failures), failures });
		}
		this.#fill();
	}

	/**
	 * Brings up one instance, if none is ready. Rejects with what keeps it from that: the first failure of a revision that was
	 * never ready (but a machine that is full is tried again), EXHAUSTED or DEADLINE after its progress deadline, or the reason of `signal`. Its initial scale holds from then on.
	 */
	async check(signal?: AbortSignal): Promise<void> {
		signal?.throwIfAborted();
		if (this.#retired) throw revisionGone(this.revision.name);
		if (this.#members.serving > 0) return;
		const { initialScale } = this.#settings;
		try {
			// First that somebody waits: on a full machine room is made for it.
			const checked = this.#checks.wait(this.#host.clock, signal, {
				ms: this.progressDeadlineMs,
				late: () => this.#notReadyInTime(),
			});
			this.scaleTo(Math.max(1, initialScale, this.#target));
			await checked;
			if (initialScale === 0 && this.#inFlight + this.#queue.size === 0) this.scaleTo(0);
		} catch (error) {
			this.scaleTo(0);
			throw error;
		}
	}

	#notReadyInTime(): SlipwayError {
		if (this.#slotWait.isWaiting) return noSlotInTime(this.revision);
		if (isSlipwayError(this.#starts.lastFailure, "EXHAUSTED")) return this.#starts.lastFailure;
		const { name, progressDeadlineMs } = this.revision;
		const message = `Revision "${name}" was not ready within ${Math.round(progressDeadlineMs / 1000)} s`;
		return new SlipwayError("DEADLINE", message, { reason: "ProgressDeadlineExceeded" });
	}

	/** Gives it up: who waits is refused, who is served is served to the end. Resolves when no instance is left. */
	retire(): Promise<void> {
		if (this.#retired) return this.#retired.promise;
		this.#retired = Promise.withResolvers();
		this.#target = 0;
		this.#replacements.keep(0);
		this.#slotWait.end();
		const gone = revisionGone(this.revision.name);
		this.#queue.rejectAll(gone);
		this.#checks.fail(gone);
		for (const member of this.#members) if (!member.isDraining) this.#drain(member);
		if (this.#members.size === 0) this.#retired.resolve();
		return this.#retired.promise;
	}

	/** As `retire`, but what is still served after `graceMs` is cut. */
	async close(graceMs: number): Promise<void> {
		const retired = this.retire();
		const cancel = this.#host.clock.after(graceMs, () => {
			for (const member of this.#members)
				this.#report(member.instance.stop(0), "An instance could not be stopped", member);
		});
		await retired;
		cancel();
	}

	#report(task: Promise<unknown>, message: string, { instance }: PoolMember): void {
		task.catch((error) => this.#host.log.error(message, { error, instance: instance.id }));
	}
}
