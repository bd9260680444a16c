/**
 * The veth pairs by which sandboxes reach the host, made and removed by system calls: a pair takes under a millisecond of
 * processor time, and 17 with the two programs that could be asked instead (ip, and nsenter to run it inside).
 */
import { closeSync, openSync } from "node:fs";
import { systemCode } from "../../base/error.ts";
import { CLONE_NEWNET, close, listenTcp, setns } from "../../base/syscall.ts";
import { RouteSocket } from "./netlink.ts";
import {
	deleteGroup,
	type NetlinkRequest,
	newAddress,
	newDefaultRoute,
	newVeth,
	setGroup,
	setNoAddressGeneration,
	setUp,
} from "./netlink-message.ts";

/** What the sandbox sees. */
const INSIDE_NAME = "eth0";
/** Network, host, sandbox, broadcast. */
const PREFIX_BITS = 30;
const LOOPBACK_NAME = "lo";
/** One address alone. */
const HOST_BITS = 32;

export interface LinkInput {
	/** A file that names the sandbox's network namespace. */
	path: string;
	/** Of the host's end. */
	name: string;
	/** IPv4 addresses as numbers, of one network of four. */
	host: number;
	inside: number;
}

/** Connects a network namespace to the calling thread's, `home`. Leaves nothing behind when it throws. */
export function makeLink(home: number, { path, name, host, inside }: LinkInput): void {
	const namespace = openSync(path, "r");
	try {
		using outside = new RouteSocket();
		outside.request(newVeth(name, { name: INSIDE_NAME, namespace }), `make the pair ${name}`);
		try {
			setUpOutside(outside, name, host);
			setns(namespace, CLONE_NEWNET);
			try {
				setUpInside(host, inside);
			} finally {
				setns(home, CLONE_NEWNET);
			}
		} catch (error) {
			deleteLinks([name]);
			throw error;
		}
	} finally {
		closeSync(namespace);
	}
}

/** Listening sockets on further addresses of the loopback of the calling thread's network namespace. */
export function listenOnLoopback(addresses: readonly { host: string; port: number }[]): number[] {
	using socket = new RouteSocket();
	const index = mustBeThere(socket, LOOPBACK_NAME);
	const fds: number[] = [];
	try {
		for (const host of new Set(addresses.map((address) => address.host)))
			socket.request(newAddress(index, addressBytes(host).readUInt32BE(), HOST_BITS), `give ${LOOPBACK_NAME} ${host}`);
		for (const { host, port } of addresses) fds.push(listenTcp(addressBytes(host), port));
		return fds;
	} catch (error) {
		for (const fd of fds) close(fd);
		throw error;
	}
}

function addressBytes(host: string): Buffer {
	return Buffer.from(host.split(".").map(Number));
}

function setUpOutside(socket: RouteSocket, name: string, address: number): void {
	const index = mustBeThere(socket, name);
	withoutIpv6(() => socket.request(setNoAddressGeneration(index), `keep IPv6 from ${name}`));
	socket.request(newAddress(index, address, PREFIX_BITS), `give ${name} its address`);
	socket.request(setUp(index), `switch ${name} on`);
}

function setUpInside(gateway: number, address: number): void {
	using socket = new RouteSocket();
	const index = mustBeThere(socket, INSIDE_NAME);
	socket.request(newAddress(index, address, PREFIX_BITS), `give ${INSIDE_NAME} its address`);
	socket.request(setUp(index), `switch ${INSIDE_NAME} on`);
	socket.request(newDefaultRoute(gateway), "add the way out");
}

function mustBeThere(socket: RouteSocket, name: string): number {
	const index = socket.indexOf(name);
	if (index === undefined) throw new Error(`There is no ${name} just after it was made`);
	return index;
}

/** A kernel without IPv6 does not know its settings, which is as good. */
function withoutIpv6(set: () => void): void {
	try {
		set();
	} catch (error) {
		if (systemCode(error) !== "EAFNOSUPPORT") throw error;
	}
}

/**
 * No group of anybody else: "slwy" in ASCII. Interfaces are in it for the moment of their deletion only, and two daemons
 * at once would but delete each other's of that moment.
 */
const LEAVING_GROUP = 0x736c7779;

/**
 * Deletes the interfaces of these names that are there. The kernel takes 15 to 30 ms, however many they are. Throws the
 * system's own code.
 */
export function deleteLinks(names: readonly string[]): void {
	using socket = new RouteSocket();
	const there = names.filter((name) => join(socket, name));
	if (there.length > 0) ifThere(socket, deleteGroup(LEAVING_GROUP), `remove ${there.length} interfaces`);
}

function join(socket: RouteSocket, name: string): boolean {
	const index = socket.indexOf(name);
	return index !== undefined && ifThere(socket, setGroup(index, LEAVING_GROUP), `let ${name} go`);
}

/** An interface whose namespace ends goes with it, at any moment. */
function ifThere(socket: RouteSocket, request: NetlinkRequest, doing: string): boolean {
	try {
		socket.request(request, doing);
		return true;
	} catch (error) {
		if (systemCode(error) === "ENODEV") return false;
		throw error;
	}
}
