/** Addresses from the one that is written to the last of its block, as ruler has them: `10.0.0.5/24` begins at .5. */
export interface IpRange {
	/** Of an address, in bits: 32 or 128. */
	readonly width: 32 | 128;
	/** Bits that all of the block share. */
	readonly maskBits: number;
	readonly first: bigint;
	readonly last: bigint;
}

export interface IpAddress {
	readonly width: 32 | 128;
	readonly value: bigint;
}

/** Throws Error in ruler's words (CIDR.java). */
export function parseCidr(text: string): IpRange {
	const [address = "", mask, ...more] = text.split("/");
	if (mask === undefined || mask === "" || more.length > 0) throw new Error("Malformed CIDR, one '/' required");
	if (!/^[+-]?\d{1,9}$/.test(mask)) throw new Error("Malformed CIDR, mask bits must be an integer");
	const maskBits = Number(mask);
	if (maskBits < 0) throw new Error("Malformed CIDR, mask bits must not be negative");
	const ip = parseIp(address);
	if (!ip) throw new Error(`Nonstandard IP address: ${address}`);
	if (maskBits >= ip.width)
		throw new Error(ip.width === 32 ? "IPv4 mask bits must be < 32" : "IPv6 mask bits must be < 128");
	const last = ip.value | ((1n << BigInt(ip.width - maskBits)) - 1n);
	return { width: ip.width, maskBits, first: ip.value, last };
}

export function isInRange(range: IpRange, ip: IpAddress): boolean {
	return range.width === ip.width && ip.value >= range.first && ip.value <= range.last;
}

/** What addresses of a block share: the same for all of them and for no other block of that size. */
export function blockOf(ip: IpAddress, maskBits: number): bigint {
	return ip.value >> BigInt(ip.width - maskBits);
}

/** Characters of the longest address (RFC 4291, 2.2). */
const longestAddress = 45;

export function parseIp(text: string): IpAddress | undefined {
	if (text.length > longestAddress) return undefined;
	const value = text.includes(":") ? parseV6(text) : parseV4(text);
	return value === undefined ? undefined : { width: text.includes(":") ? 128 : 32, value };
}

function parseV4(text: string): bigint | undefined {
	const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
	if (!match) return undefined;
	let value = 0n;
	for (const byte of match.slice(1)) {
		if (Number(byte) > 255) return undefined;
		value = (value << 8n) | BigInt(byte);
	}
	return value;
}

function parseV6(text: string): bigint | undefined {
	const halves = text.split("::");
	if (halves.length > 2) return undefined;
	const [head = [], tail = []] = halves.map((half) => (half === "" ? [] : half.split(":")));
	const missing = 8 - head.length - tail.length;
	if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
	let value = 0n;
	for (const group of [...head, ...Array<string>(missing).fill("0"), ...tail]) {
		if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
		value = (value << 16n) | BigInt(`0x${group}`);
	}
	return value;
}
