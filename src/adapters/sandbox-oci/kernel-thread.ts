import { Worker } from "node:worker_threads";
import type { Door } from "./door.ts";
import type { HolderInput } from "./holders.ts";
import type { LinkInput } from "./network-links.ts";

/** What a kernel thread can do. Inputs and results are plain data; file descriptors are valid in the whole process. */
export interface KernelOperations {
	/**
	 * A new network namespace, bound to `path`, loopback up, IPv6 off, with a socket that listens on 127.0.0.1:`port` inside;
	 * and a new process namespace with its first process, which is in that network too: /proc/1/net shows no other. `door` is
	 * for the addresses of 169.254.0.0/16, or why there is none.
	 */
	createNetwork(input: { path: string; port: number; holder: HolderInput; withDoor: boolean }): {
		fd: number;
		holderPid: number;
		door: Door | string;
	};
	/** A new process namespace with its first process, in a network namespace that is there. */
	startHolder(input: { path: string; holder: HolderInput }): { holderPid: number };
	/** Lets programs without a capability listen on every port of the network namespace, as Docker does in its containers. */
	openLowPorts(input: { path: string }): void;
	/** Gives the network namespace's loopback these IPv4 addresses, with a listening socket each; no socket when it throws. */
	listen(input: { path: string; addresses: readonly { host: string; port: number }[] }): { fds: number[] };
	/** A TCP socket in the network namespace, not connected yet. */
	openSocket(input: { path: string }): { fd: number };
	/** Lets go of the namespace's name; the kernel removes it when the last process and socket are gone. Idempotent. */
	removeNetwork(input: { path: string }): void;
	/** A veth pair between the network namespace and the host's, with addresses and the way out; nothing when it throws. */
	makeLink(input: LinkInput): void;
	/** Deletes network interfaces of the host that are still there. Takes the kernel 15 to 30 ms, however many they are. */
	deleteLinks(input: { names: readonly string[] }): void;
	/** Copies the disk image and mounts the copy, nodev and nosuid. The copy's file is unlinked at once. */
	mountDisk(input: { template: string; file: string; target: string }): void;
	mountTmpfs(input: { target: string; options: string }): void;
	/** Unmounts and removes the mount points. Idempotent. */
	unmount(input: { targets: readonly string[] }): void;
}

type Operation = keyof KernelOperations;
type Input<O extends Operation> = Parameters<KernelOperations[O]>[0];
type Result<O extends Operation> = ReturnType<KernelOperations[O]>;

export interface KernelRequest {
	id: number;
	operation: Operation;
	input: Input<Operation>;
}

export interface KernelAnswer {
	id: number;
	result?: Result<Operation> | undefined;
	error?: { message: string; code: string | undefined };
}

interface Waiting {
	resolve: (result: never) => void;
	reject: (error: Error) => void;
}

/** A thread of our own for system calls that block or that act on the calling thread alone (setns, unshare). */
export class KernelThread implements AsyncDisposable {
	readonly #worker: Worker;
	readonly #waiting = new Map<number, Waiting>();
	#nextId = 1;
	#died: Error | undefined;

	constructor(name: string) {
		this.#worker = new Worker(new URL("./kernel-thread.worker.ts", import.meta.url), {
			name,
			execArgv: ["--disable-warning=ExperimentalWarning"],
		});
		this.#worker.on("message", (answer: KernelAnswer) => this.#settle(answer));
		this.#worker.on("error", (error: Error) => this.#fail(error));
		this.#worker.on("exit", () => this.#fail(new Error(`Kernel thread ${name} has ended`)));
		this.#worker.unref();
	}

	run<O extends Operation>(operation: O, input: Input<O>): Promise<Result<O>> {
		if (this.#died) return Promise.reject(this.#died);
		const id = this.#nextId++;
		return new Promise<Result<O>>((resolve, reject) => {
			if (this.#waiting.size === 0) this.#worker.ref();
			this.#waiting.set(id, { resolve, reject });
			this.#worker.postMessage({ id, operation, input } satisfies KernelRequest);
		});
	}

	#settle(answer: KernelAnswer): void {
		const waiting = this.#waiting.get(answer.id);
		this.#waiting.delete(answer.id);
		if (this.#waiting.size === 0) this.#worker.unref();
		if (answer.error) {
			const { message, code } = answer.error;
			waiting?.reject(Object.assign(new Error(message), code === undefined ? {} : { code }));
		} else waiting?.resolve(answer.result as never);
	}

	#fail(error: Error): void {
		this.#died ??= error;
		for (const { reject } of this.#waiting.values()) reject(error);
		this.#waiting.clear();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#worker.terminate();
	}
}
