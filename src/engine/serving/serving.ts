import type { Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { Ids } from "../../base/ids.ts";
import type { Log } from "../../base/log.ts";
import type { ScalableRevision } from "../../core/scaling/scalable-revision.ts";
import type {
	AdmitOptions,
	AdmittedRequest,
	RequestAdmission,
	RevisionId,
} from "../../core/service/request-admission.ts";
import type { ScalingSettings } from "../../core/service/scaling-settings.ts";
import type { ServiceRevision } from "../../core/service/service-revision.ts";
import type { Instance, InstanceHost } from "../../core/workload/instance.ts";
import { IdleFreezer } from "../dispatch/idle-freezer.ts";
import type { InstanceSlots } from "./instance-slots.ts";
import { revisionGone } from "./revision-failures.ts";
import { RevisionPool } from "./revision-pool.ts";
import type { RevisionUsage } from "./revision-usage.ts";

/** What the autoscaler is told of revisions. */
export interface RevisionScaler {
	/** One that is not `initialized` gets its initial scale at once. */
	add(id: string, revision: ScalableRevision, options: { initialized: boolean }): void;
	remove(id: string): void;
	/** A request waits for an instance of it. Nothing when it is not there, as with `reconcile`. */
	poke(id: string): void;
	/** Whether it is reachable, or its settings, have changed. */
	reconcile(id: string): void;
}

/** What the contract says of a service's containers. */
export interface ServiceContract {
	environment(revision: ServiceRevision): Readonly<Record<string, string>>;
	/** Undefined: nobody answers as a metadata server. */
	onMetadata(revision: ServiceRevision, instanceId: string): ((socket: Socket) => void) | undefined;
}

export interface ServingDeps {
	clock: Clock;
	ids: Ids;
	log: Log;
	instances: InstanceHost;
	slots: InstanceSlots;
	scaler: RevisionScaler;
	contract: ServiceContract;
}

export interface ServingOptions {
	/** Milliseconds after which an instance without a request gets no CPU, where it is billed by requests. */
	freezeAfterMs: number;
	/** The longest that a request waits for an instance, milliseconds; 5 minutes where it is left out. */
	maxWaitMs?: number;
	/** Requests of one revision that wait at once; 10,000 where it is left out. */
	maxWaiting?: number;
}

/** One instance, for `slipway ps` and the metrics. */
export interface InstanceView {
	id: string;
	namespace: string;
	service: string;
	revision: string;
	/** "frozen" is a ready one that gets no CPU, "draining" one that gets no more requests. */
	state: Instance["state"] | "frozen" | "draining";
	inFlight: number;
	/** Milliseconds since its start. */
	ageMs: number;
	memoryBytes: number;
	cpuUs: number;
}

/** Longer than any container takes to start (Cloud Run's 4 minutes). */
const defaultMaxWaitMs = 300_000;
/** Knative's activator (pkg/activator/net/throttler.go, breakerQueueDepth). */
const defaultMaxWaiting = 10_000;

/** All revisions that are served: their instances and the requests that wait for them. Touches neither store nor registry. */
export class Serving implements RequestAdmission, AsyncDisposable {
	readonly #deps: ServingDeps;
	readonly #options: ServingOptions;
	readonly #freezer: IdleFreezer;
	readonly #pools = new Map<string, RevisionPool>();
	/** Deployment probes under way. */
	readonly #checks = new Map<RevisionPool, Promise<void>>();
	/** Those that are given up and still have instances. */
	readonly #leaving = new Set<RevisionPool>();

	constructor(deps: ServingDeps, options: ServingOptions) {
		this.#deps = deps;
		this.#options = options;
		this.#freezer = new IdleFreezer(deps.clock, options.freezeAfterMs);
	}

	async admit(revision: RevisionId, options: AdmitOptions): Promise<AdmittedRequest> {
		const pool = this.#pools.get(keyOf(revision));
		if (!pool) throw revisionGone(revision.name);
		return pool.admit(options);
	}

	/** Makes it known, as one that is at zero: `check` and requests start instances. Of one that is known only `reachable` may change. */
	addRevision(revision: ServiceRevision, { reachable }: { reachable: boolean }): void {
		const key = keyOf(revision);
		const known = this.#pools.get(key);
		if (known?.revision.uid === revision.uid) {
			this.setReachable(revision, reachable);
			return;
		}
		// Of one that was deleted and made anew under the same name.
		if (known) void this.removeRevision(revision);
		const { clock, log, slots, scaler } = this.#deps;
		const pool = new RevisionPool(
			revision,
			{
				clock,
				log,
				slots,
				freezer: this.#freezer,
				startInstance: (of) => this.#startInstance(of),
				onWaiting: () => scaler.poke(key),
				makeRoom: () => this.#makeRoom(),
				maxWaitMs: this.#options.maxWaitMs ?? defaultMaxWaitMs,
				maxWaiting: this.#options.maxWaiting ?? defaultMaxWaiting,
			},
			reachable,
		);
		this.#pools.set(key, pool);
		scaler.add(key, pool, { initialized: true });
	}

	/** Whether a route leads to it. NOT_FOUND. */
	setReachable(revision: RevisionId, reachable: boolean): void {
		const pool = this.#pool(revision);
		const key = keyOf(revision);
		const left = pool.reachable && !reachable;
		pool.reachable = reachable;
		this.#deps.scaler.reconcile(key);
		// Its volumes are another's now: it does not linger as others do until their windows are empty.
		if (left && !this.#checks.has(pool) && isStateful(pool.revision)) {
			pool.scaleTo(0);
			this.#forgetLoad(key, pool);
		}
	}

	/** Other bounds from now on. NOT_FOUND. */
	updateScaling(revision: RevisionId, settings: ScalingSettings): void {
		this.#pool(revision).settings = settings;
		this.#deps.scaler.reconcile(keyOf(revision));
	}

	/** Resolves when its last instance has ended: requests are served to their end. Idempotent. */
	async removeRevision(revision: RevisionId): Promise<void> {
		const key = keyOf(revision);
		const pool = this.#pools.get(key);
		if (!pool) return;
		this.#pools.delete(key);
		this.#deps.scaler.remove(key);
		await this.#leave(pool, () => pool.retire());
	}

	async #leave(pool: RevisionPool, how: () => Promise<void>): Promise<void> {
		this.#leaving.add(pool);
		await how();
		this.#leaving.delete(pool);
	}

	/**
	 * The deployment probe: resolves when an instance of it is ready. Rejects with the reason, see RevisionPool.check; NOT_FOUND.
	 * The autoscaler looks away meanwhile, and begins with the initial scale when it is over.
	 */
	check(revision: RevisionId, signal?: AbortSignal): Promise<void> {
		const pool = this.#pools.get(keyOf(revision));
		if (!pool) return Promise.reject(revisionGone(revision.name));
		const running = this.#checks.get(pool);
		if (running) return running;
		const check = this.#check(keyOf(revision), pool, signal).finally(() => this.#checks.delete(pool));
		this.#checks.set(pool, check);
		return check;
	}

	async #check(key: string, pool: RevisionPool, signal: AbortSignal | undefined): Promise<void> {
		const { scaler } = this.#deps;
		if (countServing(pool) > 0) return;
		scaler.remove(key);
		let passed = false;
		try {
			await pool.check(signal);
			passed = true;
		} finally {
			if (this.#pools.get(key) === pool) scaler.add(key, pool, { initialized: !passed });
		}
	}

	/**
	 * Lets a service go to zero now: ends its instances without a request, but for its minimum, and has the autoscaler forget
	 * what they did. Resolves with how many, when they have ended. A revision whose deployment probe runs is left alone.
	 */
	async stopIdle({ namespace, service }: { namespace: string; service: string }): Promise<number> {
		const pools = [...this.#pools].filter(
			([, pool]) =>
				pool.revision.namespace === namespace && pool.revision.service === service && !this.#checks.has(pool),
		);
		const counts = pools.map(([key, pool]) => {
			const stopped = pool.stopIdle();
			this.#forgetLoad(key, pool);
			return stopped;
		});
		return (await Promise.all(counts)).reduce((total, count) => total + count, 0);
	}

	/** On a full machine what nobody has asked for the longest gives way to who is asked for now. */
	#makeRoom(): void {
		let [longest, sinceMs]: [[string, RevisionPool] | undefined, number] = [undefined, Number.POSITIVE_INFINITY];
		for (const entry of this.#pools) {
			const [, pool] = entry;
			const { idleSince = Number.POSITIVE_INFINITY } = pool;
			if (idleSince < sinceMs && !this.#checks.has(pool)) [longest, sinceMs] = [entry, idleSince];
		}
		if (!longest) return;
		void longest[1].stopIdle();
		this.#forgetLoad(...longest);
	}

	/** What the autoscaler knows of it would bring its instances back. */
	#forgetLoad(key: string, pool: RevisionPool): void {
		this.#deps.scaler.remove(key);
		this.#deps.scaler.add(key, pool, { initialized: true });
	}

	/** What it has done since it was added; undefined when it is not there. */
	usage(revision: RevisionId): Readonly<RevisionUsage> | undefined {
		return this.#pools.get(keyOf(revision))?.usage;
	}

	/** Instances now and as they are wanted, and requests that wait; undefined when it is not there. */
	scale(revision: RevisionId): { actual: number; desired: number; waiting: number } | undefined {
		const pool = this.#pools.get(keyOf(revision));
		return pool && { actual: countServing(pool), desired: pool.target, waiting: pool.waiting };
	}

	revisions(): ServiceRevision[] {
		return [...this.#pools.values()].map(({ revision }) => revision);
	}

	async instances(): Promise<InstanceView[]> {
		const pools = [...this.#pools.values(), ...this.#leaving];
		return (await Promise.all(pools.map((pool) => this.#views(pool)))).flat();
	}

	#views({ revision, instances }: RevisionPool): Promise<InstanceView[]> {
		const now = this.#deps.clock.monotonic();
		return Promise.all(
			instances.map(async (member) => ({
				id: member.instance.id,
				namespace: revision.namespace,
				service: revision.service,
				revision: revision.name,
				state: member.isFrozen
					? "frozen"
					: member.isDraining && !member.isStopping
						? "draining"
						: member.instance.state,
				inFlight: member.inFlight,
				ageMs: now - member.startedAt,
				...(await member.instance.stats()),
			})),
		);
	}

	#pool(revision: RevisionId): RevisionPool {
		const pool = this.#pools.get(keyOf(revision));
		if (!pool) throw revisionGone(revision.name);
		return pool;
	}

	#startInstance(revision: ServiceRevision): Instance {
		const { instances, contract, ids } = this.#deps;
		const id = `svc-${ids.hex(8)}`;
		const onMetadata = contract.onMetadata(revision, id);
		const { containers } = revision.workload;
		const stream = `${revision.name}/${id}`;
		return instances.start({
			id,
			workload: revision.workload,
			environment: () => contract.environment(revision),
			log: {
				group: `/slipway/services/${revision.namespace}/${revision.service}`,
				stream: (container) => (containers.length === 1 ? stream : `${stream}/${container}`),
			},
			restart: "others",
			...(onMetadata && { onMetadata }),
		});
	}

	/** Requests get `graceMs` to be answered. */
	async close(graceMs: number): Promise<void> {
		for (const key of this.#pools.keys()) this.#deps.scaler.remove(key);
		const pools = [...this.#pools.values()];
		this.#pools.clear();
		await Promise.all([...pools, ...this.#leaving].map((pool) => this.#leave(pool, () => pool.close(graceMs))));
		this.#freezer.stop();
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close(0);
	}
}

function countServing({ instances }: RevisionPool): number {
	return instances.filter(({ isServing }) => isServing).length;
}

/** It has files that outlive its instances. */
function isStateful({ workload }: ServiceRevision): boolean {
	return workload.volumes.some(({ kind }) => kind === "persistent");
}

function keyOf({ namespace, name }: RevisionId): string {
	return `${namespace}/${name}`;
}
