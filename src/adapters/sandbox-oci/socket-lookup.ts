/**
 * Addresses of a network namespace that are the daemon's, without a port taken from the programs in there: they may listen on
 * 0.0.0.0:80 although 169.254.170.1:80 is ours, which two sockets can't (ip(7), EADDRINUSE).
 *
 * The kernel asks a program of BPF type SK_LOOKUP (kernel: bpf/prog_sk_lookup.rst, Linux 5.9) which socket a new connection is
 * for, before it looks for one itself. Ours finds it in a map of the namespace's own, by address and port: to add a listener is
 * one entry, microseconds, and no packet of a connection passes the program again.
 */
import { systemCode } from "../../base/error.ts";
import { bpf, close } from "../../base/syscall.ts";

/** Link-local addresses, RFC 3927, section 2.1: none of them is anybody else's in a sandbox. */
export const OWN_ADDRESSES = { network: 0xa9fe0000, prefixBits: 16 };
/** The first two bytes of an address as a little-endian number has them; sandboxes run on no other machine. */
const [OWN_PREFIX, PREFIX_MASK] = [0xfea9, 0xffff];
/** Entries of the map, more than any sandbox has listeners (MAX_LISTENERS). */
const MAX_ADDRESSES = 64;

/** From <linux/bpf.h>: commands, types, helpers. */
const [BPF_MAP_CREATE, BPF_MAP_UPDATE_ELEM, BPF_PROG_LOAD, BPF_LINK_CREATE] = [0, 2, 5, 28];
const BPF_MAP_TYPE_SOCKHASH = 18;
const BPF_PROG_TYPE_SK_LOOKUP = 30;
const BPF_SK_LOOKUP = 36;
const BPF_PSEUDO_MAP_FD = 1;
const [MAP_LOOKUP_ELEM, SK_RELEASE, SK_ASSIGN] = [1, 86, 124];
const [SK_DROP, SK_PASS] = [0, 1];
/** Offsets in struct bpf_sk_lookup. */
const [FAMILY, PROTOCOL, LOCAL_ADDRESS, LOCAL_PORT] = [8, 12, 40, 60];
const [AF_INET, IPPROTO_TCP] = [2, 6];

/** Descriptors: the map of addresses, and what keeps the program at its namespace until it is closed. */
export interface SocketLookup {
	map: number;
	link: number;
}

/** `network` is an open network namespace. Throws the system's own code: EPERM, EINVAL, ENOSYS, … where the kernel has no such thing or does not let us. */
export function openSocketLookup(network: number): SocketLookup {
	const { map, program } = openProgram();
	try {
		return { map, link: bpf(BPF_LINK_CREATE, words(program, network, BPF_SK_LOOKUP, 0)) };
	} catch (error) {
		close(map);
		throw error;
	} finally {
		// The link holds it.
		close(program);
	}
}

/** Throws what `openSocketLookup` would, without a network that it is for. */
export function checkSocketLookup(): void {
	const { map, program } = openProgram();
	close(program);
	close(map);
}

function openProgram(): { map: number; program: number } {
	const map = bpf(BPF_MAP_CREATE, words(BPF_MAP_TYPE_SOCKHASH, KEY_BYTES, SOCKET_BYTES, MAX_ADDRESSES));
	try {
		return { map, program: load(instructions(map)) };
	} catch (error) {
		close(map);
		throw error;
	}
}

/** What connects to the address from now on, in the lookup's namespace, arrives at the listening socket, which is in there too. */
export function routeToSocket({ map }: SocketLookup, host: string, port: number, socket: number): void {
	const key = Buffer.alloc(KEY_BYTES);
	key.set(host.split(".").map(Number), 0);
	key.writeUInt32LE(port, 4);
	const value = Buffer.alloc(SOCKET_BYTES);
	value.writeBigUInt64LE(BigInt(socket));
	const attributes = Buffer.alloc(32);
	attributes.writeUInt32LE(map, 0);
	bpf(BPF_MAP_UPDATE_ELEM, attributes, { 8: key, 16: value });
}

export function closeSocketLookup({ map, link }: SocketLookup): void {
	close(link);
	close(map);
}

/** The address, in the network's byte order, and the port, as a number in the machine's. */
const KEY_BYTES = 8;
/** A descriptor when it is written. */
const SOCKET_BYTES = 8;

type Instruction = readonly [operation: number, to: number, from: number, offset: number, value: number];

/** Operations of the BPF instruction set (RFC 9669). */
const operations = { move: 0xbf, set: 0xb7, add: 0x07, and32: 0x54, load32: 0x61, store32: 0x63, mapOf: 0x18 };
const flow = { unless: 0x55, whenZero: 0x15, call: 0x85, exit: 0x95 };

function instructions(map: number): Buffer {
	const { move, set, add, and32, load32, store32, mapOf } = operations;
	const { unless, whenZero, call, exit } = flow;
	const [r0, r1, r2, r3, kept, socket, frame] = [0, 1, 2, 3, 6, 7, 10];
	const [pass, drop] = [24, 26];
	const program: Instruction[] = [
		[move, kept, r1, 0, 0],
		[load32, r2, r1, FAMILY, 0],
		[unless, r2, 0, pass, AF_INET],
		[load32, r2, r1, LOCAL_ADDRESS, 0],
		[store32, frame, r2, -KEY_BYTES, 0],
		[and32, r2, 0, 0, PREFIX_MASK],
		[unless, r2, 0, pass, OWN_PREFIX],
		// From here on it is ours or nobody's: a program that listens on every address does not hear what was for the platform.
		[load32, r2, r1, PROTOCOL, 0],
		[unless, r2, 0, drop, IPPROTO_TCP],
		[load32, r2, r1, LOCAL_PORT, 0],
		[store32, frame, r2, 4 - KEY_BYTES, 0],
		[move, r2, frame, 0, 0],
		[add, r2, 0, 0, -KEY_BYTES],
		[mapOf, r1, BPF_PSEUDO_MAP_FD, 0, map],
		[0, 0, 0, 0, 0],
		[call, 0, 0, 0, MAP_LOOKUP_ELEM],
		[whenZero, r0, 0, drop, 0],
		[move, socket, r0, 0, 0],
		[move, r1, kept, 0, 0],
		[move, r2, socket, 0, 0],
		[set, r3, 0, 0, 0],
		[call, 0, 0, 0, SK_ASSIGN],
		[move, r1, socket, 0, 0],
		[call, 0, 0, 0, SK_RELEASE],
		[set, r0, 0, 0, SK_PASS],
		[exit, 0, 0, 0, 0],
		[set, r0, 0, 0, SK_DROP],
		[exit, 0, 0, 0, 0],
	];
	return Buffer.concat(program.map(encode));
}

/** A jump is written with the number of the instruction it goes to, and stored as how many are between. */
function encode([operation, to, from, offset, value]: Instruction, at: number): Buffer {
	const isJump = operation === flow.unless || operation === flow.whenZero;
	const bytes = Buffer.alloc(8);
	bytes.writeUInt8(operation, 0);
	bytes.writeUInt8(to | (from << 4), 1);
	bytes.writeInt16LE(isJump ? offset - at - 1 : offset, 2);
	bytes.writeInt32LE(value, 4);
	return bytes;
}

/** The kernel gives up its check of a program while a signal waits for the thread (kernel/bpf/verifier.c); libbpf tries five times. */
const LOAD_ATTEMPTS = 5;

function load(program: Buffer): number {
	// The helpers that it calls are there for programs of every licence.
	const license = Buffer.from("Apache-2.0\0");
	const attributes = Buffer.alloc(72);
	attributes.writeUInt32LE(BPF_PROG_TYPE_SK_LOOKUP, 0);
	attributes.writeUInt32LE(program.length / 8, 4);
	attributes.writeUInt32LE(BPF_SK_LOOKUP, 68);
	for (let attempt = 1; ; attempt++)
		try {
			return bpf(BPF_PROG_LOAD, attributes, { 8: program, 16: license });
		} catch (error) {
			if (systemCode(error) !== "EAGAIN" || attempt === LOAD_ATTEMPTS) throw error;
		}
}

function words(...values: number[]): Buffer {
	const bytes = Buffer.alloc(4 * values.length);
	for (const [at, value] of values.entries()) bytes.writeUInt32LE(value, 4 * at);
	return bytes;
}
