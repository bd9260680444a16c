/** The known-good bytes are what ip(8) of iproute2 6.1 sent for the same, as `strace -e trace=sendmsg -e write=all` shows it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isSlipwayError } from "../../base/error.ts";
import {
	decodeAcknowledgement,
	deleteGroup,
	encodeRequest,
	newAddress,
	newDefaultRoute,
	newLocalRoute,
	newVeth,
	setGroup,
	setNoAddressGeneration,
	setUp,
} from "./netlink-message.ts";

const SEQUENCE = 0x6b01603e;
const HOST = 0x0ad50005; // 10.213.0.5

const vectors = {
	"link add slwabc1 numtxqueues 1 numrxqueues 1 type veth peer name eth0 netns FILE numtxqueues 1 numrxqueues 1": [
		newVeth("slwabc1", { name: "eth0", namespace: 4 }),
		`84 00 00 00 10 00 05 06  3e 60 01 6b 00 00 00 00
		00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
		08 00 1f 00 01 00 00 00  08 00 20 00 01 00 00 00
		0c 00 03 00 73 6c 77 61  62 63 31 00 48 00 12 00
		08 00 01 00 76 65 74 68  3c 00 02 00 38 00 01 00
		00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
		08 00 1c 00 04 00 00 00  08 00 1f 00 01 00 00 00
		08 00 20 00 01 00 00 00  09 00 03 00 65 74 68 30
		00 00 00 00`,
	],
	"link set DEV addrgenmode none": [
		setNoAddressGeneration(5),
		`30 00 00 00 10 00 05 00  3e 60 01 6b 00 00 00 00
		00 00 00 00 05 00 00 00  00 00 00 00 00 00 00 00
		10 00 1a 00 0c 00 0a 00  05 00 08 00 01 00 00 00`,
	],
	"addr add 10.213.0.5/30 dev DEV": [
		newAddress(5, HOST, 30),
		`28 00 00 00 14 00 05 06  3e 60 01 6b 00 00 00 00
		02 1e 00 00 05 00 00 00  08 00 02 00 0a d5 00 05
		08 00 01 00 0a d5 00 05`,
	],
	"link set DEV up": [
		setUp(5),
		`20 00 00 00 10 00 05 00  3e 60 01 6b 00 00 00 00
		00 00 00 00 05 00 00 00  01 00 00 00 01 00 00 00`,
	],
	"link set DEV group 7": [
		setGroup(5, 7),
		`28 00 00 00 10 00 05 00  3e 60 01 6b 00 00 00 00
		00 00 00 00 05 00 00 00  00 00 00 00 00 00 00 00
		08 00 1b 00 07 00 00 00`,
	],
	"link delete group 7": [
		deleteGroup(7),
		`28 00 00 00 11 00 05 00  3e 60 01 6b 00 00 00 00
		00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
		08 00 1b 00 07 00 00 00`,
	],
	"route add default via 10.213.0.6": [
		newDefaultRoute(HOST + 1),
		`24 00 00 00 18 00 05 06  3e 60 01 6b 00 00 00 00
		02 00 00 00 fe 03 00 01  00 00 00 00 08 00 05 00
		0a d5 00 06`,
	],
	"route add local 169.254.0.0/16 dev lo": [
		newLocalRoute(1, 0xa9fe0000, 16),
		`2c 00 00 00 18 00 05 06  3e 60 01 6b 00 00 00 00
		02 10 00 00 ff 03 fe 02  00 00 00 00 08 00 01 00
		a9 fe 00 00 08 00 04 00  01 00 00 00`,
	],
} as const;

for (const [command, [request, bytes]] of Object.entries(vectors))
	test(`ip ${command}`, () => {
		assert.equal(encodeRequest(request, SEQUENCE).toString("hex"), bytes.replace(/\s/g, ""));
	});

test("names that no interface may have are refused", () => {
	for (const name of ["", "sixteen0letters0", "a/b", "a b", "a\0b", "."])
		assert.throws(
			() => newVeth(name, { name: "eth0", namespace: 4 }),
			(error) => isSlipwayError(error, "INVALID"),
		);
});

/** An error's answer as the kernel makes it (netlink_ack in net/netlink/af_netlink.c). */
function answer(errno: number, options: { capped?: boolean; reason?: string } = {}): Buffer {
	const asked = encodeRequest(setGroup(5, 7), SEQUENCE);
	const text = Buffer.from(`${options.reason ?? ""}\0`);
	const attribute = Buffer.alloc((4 + text.length + 3) & ~3);
	attribute.writeUInt16LE(4 + text.length, 0);
	attribute.writeUInt16LE(1, 2);
	attribute.set(text, 4);
	const error = Buffer.alloc(4);
	error.writeInt32LE(-errno);
	const body = Buffer.concat([
		error,
		options.capped ? asked.subarray(0, 16) : asked,
		...(options.reason ? [attribute] : []),
	]);
	const header = encodeRequest(
		{ type: 2, flags: (options.capped ? 0x100 : 0) | (options.reason ? 0x200 : 0), body },
		SEQUENCE,
	);
	return header;
}

test("acknowledgements are read with their reason, capped or not", () => {
	const sequence = SEQUENCE;
	assert.deepEqual(decodeAcknowledgement(answer(0, { capped: true })), { sequence, errno: 0, reason: "" });
	assert.deepEqual(decodeAcknowledgement(answer(17, { capped: true })), { sequence, errno: 17, reason: "" });
	for (const capped of [true, false])
		assert.deepEqual(decodeAcknowledgement(answer(22, { capped, reason: "Gateway is not there" })), {
			sequence,
			errno: 22,
			reason: "Gateway is not there",
		});
});

test("answers that are cut, too long, or of another kind are refused, and none is read past its end", () => {
	const whole = answer(22, { capped: true, reason: "no" });
	for (let length = 0; length < whole.length; length++)
		assert.throws(() => decodeAcknowledgement(whole.subarray(0, length)), { code: "SANDBOX_FAILED" });
	const done = Buffer.from(whole);
	done.writeUInt16LE(3, 4);
	assert.throws(() => decodeAcknowledgement(done), { code: "SANDBOX_FAILED" });
	const lying = Buffer.from(whole);
	lying.writeUInt16LE(200, 36);
	assert.equal(decodeAcknowledgement(lying).reason, "");
	lying.writeUInt16LE(0, 36);
	assert.equal(decodeAcknowledgement(lying).reason, "");
});
