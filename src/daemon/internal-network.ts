import type { Socket } from "node:net";
import type { Log } from "../base/log.ts";
import type { Sandbox, SandboxRuntime, SandboxSpec } from "../core/sandbox/sandbox-runtime.ts";
import { HostPorts } from "./host-ports.ts";

/** Of the names of services and functions, inside every sandbox (docs/adr/0014-names-inside.md). */
export const internalAddress = "169.254.170.1";
const httpPort = 80;

export interface InternalNetworkOptions {
	/** Disposed with this. */
	runtime: SandboxRuntime;
	/** Of this machine's loopback, reached as host.internal:PORT. */
	hostPorts: readonly number[];
	log: Log;
}

/** A runtime whose every sandbox reaches services by their names and, where it is allowed, ports of the host. */
export class InternalNetwork implements SandboxRuntime {
	/** Takes what sandboxes send to the names, with whose they are (SandboxSpec.owner, or ""); until it is set nobody answers. It is made of parts that need the sandboxes first. */
	onInternal: ((socket: Socket, owner: string) => void) | undefined;
	readonly #runtime: SandboxRuntime;
	readonly #hostPorts: HostPorts;
	constructor({ runtime, hostPorts, log }: InternalNetworkOptions) {
		this.#runtime = runtime;
		this.#hostPorts = new HostPorts({ ports: hostPorts, log });
	}

	get name(): string {
		return this.#runtime.name;
	}

	get version(): string {
		return this.#runtime.version;
	}

	create(spec: SandboxSpec, signal?: AbortSignal): Promise<Sandbox> {
		// One beside another has the other's.
		if (spec.beside) return this.#runtime.create(spec, signal);
		const own = spec.listeners ?? [];
		const ours = [this.#gateway(spec.owner ?? ""), ...this.#hostPorts.listeners()].filter(
			({ host, port }) => !own.some((listener) => listener.host === host && listener.port === port),
		);
		return this.#runtime.create({ ...spec, listeners: [...own, ...ours] }, signal);
	}

	#gateway(owner: string) {
		return {
			host: internalAddress,
			port: httpPort,
			onConnection: (socket: Socket) => {
				if (this.onInternal) this.onInternal(socket, owner);
				else socket.destroy();
			},
		};
	}

	reap(): Promise<number> {
		return this.#runtime.reap();
	}

	prepare(shape: { tmpMiB?: number; egress: boolean }): void {
		this.#runtime.prepare(shape);
	}

	publishNames(names: Readonly<Record<string, string>>): void {
		this.#runtime.publishNames(names);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#hostPorts[Symbol.dispose]();
		await this.#runtime[Symbol.asyncDispose]();
	}
}
