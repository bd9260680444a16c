/**
 * Messages of rtnetlink(7) as bytes: only those that a sandbox's way out needs. Numbers are in the machine's own order,
 * which is little-endian on every machine that sandboxes run on; addresses are in the network's.
 *
 * Names and numbers are those of <linux/netlink.h>, <linux/rtnetlink.h>, <linux/if_link.h> and <linux/if_addr.h>.
 */
import { SlipwayError } from "../../base/error.ts";

const NLMSG_HEADER_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;
/** A length field has 16 bits; nothing here comes near. */
const MAX_ATTRIBUTE_BYTES = 0xffff;
/** IFNAMSIZ without the NUL at its end. */
const MAX_NAME_BYTES = 15;

const NLMSG_ERROR = 2;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;

const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_EXCL_CREATE = 0x200 | 0x400;
/** In an answer: what the kernel was asked is not in there as a whole; there are attributes behind. */
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

const IFLA_IFNAME = 3;
const IFLA_LINKINFO = 18;
const IFLA_AF_SPEC = 26;
const IFLA_GROUP = 27;
const IFLA_NET_NS_FD = 28;
const IFLA_NUM_TX_QUEUES = 31;
const IFLA_NUM_RX_QUEUES = 32;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const NLMSGERR_ATTR_MSG = 1;

const AF_INET = 2;
const AF_INET6 = 10;
const IFF_UP = 1;
const RT_TABLE_MAIN = 254;
const RT_TABLE_LOCAL = 255;
const RTPROT_BOOT = 3;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_HOST = 254;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;

/** Without its header, which takes the sequence number. */
export interface NetlinkRequest {
	type: number;
	flags: number;
	body: Buffer;
}

/**
 * A veth pair (veth(4)) with one queue a direction: by default it has one for every processor of the machine, each with
 * files of its own in /sys, which makes it take twice as long here already, on two. One end here, the other, `peer`, in the network namespace that `peerNamespace` has open. */
export function newVeth(name: string, peer: { name: string; namespace: number }): NetlinkRequest {
	const queues = [attribute(IFLA_NUM_TX_QUEUES, uint32(1)), attribute(IFLA_NUM_RX_QUEUES, uint32(1))];
	const peerBody = Buffer.concat([
		linkHeader(0),
		attribute(IFLA_NET_NS_FD, uint32(peer.namespace)),
		...queues,
		attribute(IFLA_IFNAME, interfaceName(peer.name)),
	]);
	const info = [
		attribute(IFLA_INFO_KIND, Buffer.from("veth")),
		attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peerBody)),
	];
	return create(RTM_NEWLINK, [
		linkHeader(0),
		...queues,
		attribute(IFLA_IFNAME, interfaceName(name)),
		attribute(IFLA_LINKINFO, Buffer.concat(info)),
	]);
}

/** Keeps the interface from giving itself an IPv6 address when it comes up. */
export function setNoAddressGeneration(index: number): NetlinkRequest {
	const mode = attribute(IFLA_INET6_ADDR_GEN_MODE, Buffer.from([IN6_ADDR_GEN_MODE_NONE]));
	return change(RTM_NEWLINK, [linkHeader(index), attribute(IFLA_AF_SPEC, attribute(AF_INET6, mode))]);
}

export function setUp(index: number): NetlinkRequest {
	return change(RTM_NEWLINK, [linkHeader(index, IFF_UP)]);
}

/** Interfaces of one group are deleted by one request. */
export function setGroup(index: number, group: number): NetlinkRequest {
	return change(RTM_NEWLINK, [linkHeader(index), attribute(IFLA_GROUP, uint32(group))]);
}

/** Deletes every interface of the group: the kernel waits for its readers once, and not once for each. */
export function deleteGroup(group: number): NetlinkRequest {
	return change(RTM_DELLINK, [linkHeader(0), attribute(IFLA_GROUP, uint32(group))]);
}

/** An IPv4 address, as a number, with its network. */
export function newAddress(index: number, address: number, prefixBits: number): NetlinkRequest {
	const header = Buffer.alloc(8);
	header.writeUInt8(AF_INET, 0);
	header.writeUInt8(prefixBits, 1);
	header.writeUInt32LE(index, 4);
	const bytes = ipv4(address);
	return create(RTM_NEWADDR, [header, attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes)]);
}

export function newDefaultRoute(gateway: number): NetlinkRequest {
	const header = routeHeader(0, [RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST]);
	return create(RTM_NEWROUTE, [header, attribute(RTA_GATEWAY, ipv4(gateway))]);
}

/** Every address of an IPv4 network is this machine's own, on the interface, without being among the addresses it shows. */
export function newLocalRoute(index: number, network: number, prefixBits: number): NetlinkRequest {
	const header = routeHeader(prefixBits, [RT_TABLE_LOCAL, RTPROT_BOOT, RT_SCOPE_HOST, RTN_LOCAL]);
	return create(RTM_NEWROUTE, [header, attribute(RTA_DST, ipv4(network)), attribute(RTA_OIF, uint32(index))]);
}

/** struct rtmsg; `kind` are its table, protocol, scope and type. */
function routeHeader(prefixBits: number, kind: readonly [number, number, number, number]): Buffer {
	const header = Buffer.alloc(12);
	header.set([AF_INET, prefixBits], 0);
	header.set(kind, 4);
	return header;
}

/** The bytes of a request. */
export function encodeRequest({ type, flags, body }: NetlinkRequest, sequence: number): Buffer {
	const header = Buffer.alloc(NLMSG_HEADER_BYTES);
	header.writeUInt32LE(NLMSG_HEADER_BYTES + body.length, 0);
	header.writeUInt16LE(type, 4);
	header.writeUInt16LE(flags, 6);
	header.writeUInt32LE(sequence, 8);
	return Buffer.concat([header, body]);
}

export interface Acknowledgement {
	sequence: number;
	/** As errno(3) has it; 0 for success. */
	errno: number;
	/** The kernel's reason in words; mostly none. */
	reason: string;
}

/** Reads the answer to a request. SANDBOX_FAILED when it is none, or is cut. */
export function decodeAcknowledgement(answer: Buffer): Acknowledgement {
	const malformed = (why: string) =>
		new SlipwayError("SANDBOX_FAILED", `The kernel's netlink answer is not one: ${why}`);
	const headers = NLMSG_HEADER_BYTES + 4 + NLMSG_HEADER_BYTES;
	if (answer.length < headers) throw malformed(`${answer.length} bytes`);
	const length = answer.readUInt32LE(0);
	if (length < headers || length > answer.length) throw malformed(`it says ${length} bytes of ${answer.length}`);
	if (answer.readUInt16LE(4) !== NLMSG_ERROR) throw malformed(`type ${answer.readUInt16LE(4)}`);
	const flags = answer.readUInt16LE(6);
	const errno = -answer.readInt32LE(NLMSG_HEADER_BYTES) || 0;
	const asked = answer.readUInt32LE(NLMSG_HEADER_BYTES + 4);
	const attributesAt = flags & NLM_F_CAPPED || errno === 0 ? headers : headers - NLMSG_HEADER_BYTES + align(asked);
	const reason =
		flags & NLM_F_ACK_TLVS ? textAttribute(answer.subarray(0, length), attributesAt, NLMSGERR_ATTR_MSG) : "";
	return { sequence: answer.readUInt32LE(8), errno, reason };
}

function textAttribute(message: Buffer, start: number, wanted: number): string {
	for (let at = start; at + ATTRIBUTE_HEADER_BYTES <= message.length; ) {
		const length = message.readUInt16LE(at);
		if (length < ATTRIBUTE_HEADER_BYTES || at + length > message.length) return "";
		if (message.readUInt16LE(at + 2) === wanted)
			return message.toString("latin1", at + ATTRIBUTE_HEADER_BYTES, at + length).replace(/\0+$/, "");
		at += align(length);
	}
	return "";
}

function create(type: number, parts: Buffer[]): NetlinkRequest {
	return { type, flags: NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL_CREATE, body: Buffer.concat(parts) };
}

function change(type: number, parts: Buffer[]): NetlinkRequest {
	return { type, flags: NLM_F_REQUEST | NLM_F_ACK, body: Buffer.concat(parts) };
}

/** struct ifinfomsg; `up` are the flags to set. */
function linkHeader(index: number, up = 0): Buffer {
	const header = Buffer.alloc(16);
	header.writeInt32LE(index, 4);
	header.writeUInt32LE(up, 8);
	header.writeUInt32LE(up, 12);
	return header;
}

function attribute(type: number, value: Buffer): Buffer {
	const length = ATTRIBUTE_HEADER_BYTES + value.length;
	if (length > MAX_ATTRIBUTE_BYTES)
		throw new SlipwayError("INVALID", `A netlink attribute of ${length} bytes is too long`);
	const bytes = Buffer.alloc(align(length));
	bytes.writeUInt16LE(length, 0);
	bytes.writeUInt16LE(type, 2);
	bytes.set(value, ATTRIBUTE_HEADER_BYTES);
	return bytes;
}

/** Messages and attributes begin at multiples of four. */
function align(length: number): number {
	return (length + 3) & ~3;
}

function interfaceName(name: string): Buffer {
	if (!/^[a-z0-9]+$/.test(name) || name.length > MAX_NAME_BYTES)
		throw new SlipwayError("INVALID", `"${name}" is no name for a network interface`);
	return Buffer.from(`${name}\0`);
}

function uint32(value: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32LE(value);
	return bytes;
}

function ipv4(address: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32BE(address);
	return bytes;
}
