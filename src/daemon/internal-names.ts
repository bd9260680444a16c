import type { Clock } from "../base/clock.ts";
import { isSlipwayError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { hostsLines, MAX_NAMES } from "../core/sandbox/sandbox-names.ts";
import type { AnyKnativeObject, KnativeService } from "../core/service/knative.ts";
import type { ServiceUseCases } from "../engine/services/types.ts";
import { hostAddress } from "./host-ports.ts";
import { internalAddress } from "./internal-network.ts";

/** Below it are the names of services and functions (docs/adr/0014-names-inside.md). */
const domain = "internal";
/** The AWS API, for functions (their `AWS_ENDPOINT_URL`). */
export const awsHost = `aws.${domain}`;
/** Slipway's own, for whatever runs here: idempotency keys. */
export const slipwayHost = `slipway.${domain}`;
/** What nothing that is deployed may take: ours, the machine, and where the clouds' own libraries look for their metadata server. */
const fixedNames = {
	[awsHost]: internalAddress,
	[slipwayHost]: internalAddress,
	"host.internal": hostAddress,
	"metadata.google.internal": "169.254.169.254",
};
const defaultNamespace = "default";
/** A deployment is several changes, and many are deployed at once; a name is there long before its service is. */
const settleMs = 20;
/** After a watch that could not be opened or was too slow. */
const retryMs = 1000;

export interface InternalNamesOptions {
	services: Pick<ServiceUseCases, "services" | "watch">;
	functions: { all(): Iterable<{ name: string }>; onChange(listener: () => void): void };
	/** SandboxRuntime.publishNames */
	publish: (names: Readonly<Record<string, string>>) => void;
	clock: Clock;
	log: Log;
}

/** Publishes the names of all services and functions to the sandboxes, and again when they change. */
export class InternalNames implements AsyncDisposable {
	readonly #options: InternalNamesOptions;
	readonly #closing = new AbortController();
	readonly #watching: Promise<void>;
	/** By namespace and name. */
	readonly #services = new Map<string, readonly string[]>();
	#published = "";
	#cancel: (() => void) | undefined;

	constructor(options: InternalNamesOptions) {
		this.#options = options;
		options.functions.onChange(() => this.#publishSoon());
		this.#watching = this.#watch();
	}

	async #watch(): Promise<void> {
		const { services, clock, log } = this.#options;
		const { signal } = this.#closing;
		while (!signal.aborted) {
			try {
				// The watch comes first: what changes after the list is in it.
				const events = services.watch("Service", { signal });
				this.#services.clear();
				for (const service of services.services()) this.#set(service);
				this.#publishSoon();
				for await (const { type, object } of events) this.#note(type, object);
			} catch (error) {
				if (signal.aborted) return;
				if (!isSlipwayError(error, "CONFLICT"))
					log.warn("The names of services are not watched; will try again", { error });
				await clock.sleep(retryMs, signal).catch(() => {});
			}
		}
	}

	#note(type: "ADDED" | "MODIFIED" | "DELETED", object: AnyKnativeObject): void {
		if (type === "DELETED") this.#services.delete(keyOf(object));
		else this.#set(object as KnativeService);
		this.#publishSoon();
	}

	#set(service: KnativeService): void {
		this.#services.set(keyOf(service), serviceNames(service));
	}

	#publishSoon(): void {
		if (this.#closing.signal.aborted) return;
		this.#cancel ??= this.#options.clock.after(settleMs, () => {
			this.#cancel = undefined;
			this.#publish();
		});
	}

	#publish(): void {
		const { functions, publish, log } = this.#options;
		const deployed = new Set([...this.#services.values()].flat());
		for (const { name } of functions.all()) if (isLabel(name)) deployed.add(`${name.toLowerCase()}.${domain}`);
		for (const name of Object.keys(fixedNames)) deployed.delete(name);
		const room = MAX_NAMES - Object.keys(fixedNames).length;
		const named = [...deployed].slice(0, room);
		if (named.length < deployed.size)
			log.warn("There are more services and functions than names inside of sandboxes", { left: deployed.size - room });
		const names = { ...fixedNames, ...Object.fromEntries(named.map((name) => [name, internalAddress])) };
		// Most changes of a service leave its names as they were.
		const text = hostsLines(names);
		if (text === this.#published) return;
		try {
			publish(names);
			this.#published = text;
		} catch (error) {
			log.error("The names of services could not be published to sandboxes", { error });
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#closing.abort();
		this.#cancel?.();
		await this.#watching;
	}
}

function keyOf({ metadata: { namespace, name } }: AnyKnativeObject): string {
	return `${namespace}/${name}`;
}

/** Its own and its tags', with the namespace, and without it in the default one. */
function serviceNames({ metadata: { namespace, name }, status, spec }: KnativeService): string[] {
	const tags = [...(status?.traffic ?? []), ...(spec.traffic ?? [])].flatMap(({ tag }) => tag ?? []);
	const labels = [name, ...new Set(tags.map((tag) => `${tag}---${name}`))].filter(isLabel);
	return labels.flatMap((label) => {
		const full = `${label}.${namespace}.${domain}`;
		return namespace === defaultNamespace ? [`${label}.${domain}`, full] : [full];
	});
}

/** RFC 1035, 2.3.4: the names of functions may be longer, and have underscores. */
function isLabel(name: string): boolean {
	return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(name);
}
