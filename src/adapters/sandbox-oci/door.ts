/**
 * The way from a sandbox to the daemon's addresses, made with its network, so that a listener costs it nothing when it is
 * given one: a socket that listens already, and the lookup that leads connections to it.
 */
import { closeSync, openSync } from "node:fs";
import { systemCode } from "../../base/error.ts";
import { close, listenTcp } from "../../base/syscall.ts";
import { RouteSocket } from "./netlink.ts";
import { newLocalRoute } from "./netlink-message.ts";
import { closeSocketLookup, OWN_ADDRESSES, openSocketLookup, type SocketLookup } from "./socket-lookup.ts";

export interface Door {
	/** Hears whatever address the lookup leads to it; the connection knows which one it was. */
	listener: number;
	lookup: SocketLookup;
}

/**
 * The lookup leads no connection here, so that there is none. The port is taken from programs that listen on every address all
 * the same: it is that of TCPMUX (RFC 1078), which is historic.
 */
const PARKED = { address: [169, 254, 170, 0], port: 1 };
/** bpf(2): too old a kernel, built without it, locked down, without the right to it, or too little lockable memory (before Linux 5.11). */
const refusals = new Set(["EINVAL", "ENOSYS", "EOPNOTSUPP", "EPERM", "EACCES"]);

/**
 * For the calling thread's network namespace, whose loopback is up. The reason in words where the kernel has or allows no
 * lookup: listeners then have to be sockets of their own. Throws the system's own code otherwise.
 */
export function openDoor(): Door | string {
	const network = openSync("/proc/thread-self/ns/net", "r");
	let lookup: SocketLookup | undefined;
	try {
		lookup = openSocketLookup(network);
		routeToLoopback();
		return { listener: listenTcp(PARKED.address, PARKED.port), lookup };
	} catch (error) {
		if (lookup) closeSocketLookup(lookup);
		else if (error instanceof Error && refusals.has(systemCode(error) ?? "")) return error.message;
		throw error;
	} finally {
		closeSync(network);
	}
}

export function closeDoor({ listener, lookup }: Door): void {
	closeSocketLookup(lookup);
	close(listener);
}

/** They are local ones then, though no interface shows them as its own. */
function routeToLoopback(): void {
	using socket = new RouteSocket();
	const index = socket.indexOf("lo");
	if (index === undefined) throw new Error("There is no loopback in a new network");
	socket.request(newLocalRoute(index, OWN_ADDRESSES.network, OWN_ADDRESSES.prefixBits), "route the daemon's addresses");
}
