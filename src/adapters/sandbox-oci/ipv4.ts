/** IPv4 ranges as numbers. */
export interface Ipv4Range {
	/** First address. */
	base: number;
	/** Prefix length. */
	bits: number;
}

/** "10.0.0.0/8", "default", or a lone address; undefined for anything else. */
export function parseRange(text: string): Ipv4Range | undefined {
	const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/.exec(text);
	if (!match) return undefined;
	const parts = match.slice(1, 5).map(Number);
	const bits = Number(match[5] ?? 32);
	if (parts.some((part) => part > 255) || bits > 32) return undefined;
	const address = parts.reduce((sum, part) => sum * 256 + part, 0);
	const size = 2 ** (32 - bits);
	return { base: Math.floor(address / size) * size, bits };
}

export function formatAddress(address: number): string {
	return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}

export function formatRange(range: Ipv4Range): string {
	return `${formatAddress(range.base)}/${range.bits}`;
}

export function overlap(a: Ipv4Range, b: Ipv4Range): boolean {
	const size = 2 ** (32 - Math.min(a.bits, b.bits));
	return Math.floor(a.base / size) === Math.floor(b.base / size);
}
