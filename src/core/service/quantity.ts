/**
 * A Kubernetes resource quantity (apimachinery/pkg/api/resource: "500m", "1.5Gi", "1e3") as a number, rounded up to thousandths
 * as Kubernetes stores it at the finest that counts here. Undefined for what is not a quantity.
 */
export function parseQuantity(text: string): number | undefined {
	if (text.length > maxQuantityLength) return undefined;
	const match = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,2}))?$/.exec(text);
	if (!match?.[1]) return undefined;
	const factor = match[2] ? (suffixes.get(match[2]) ?? Number.NaN) : 10 ** Number(match[3] ?? 0);
	const value = Number(match[1]) * factor;
	return Number.isFinite(value) ? Math.ceil(Number((value * 1000).toPrecision(15))) / 1000 : undefined;
}

const maxQuantityLength = 40;

const suffixes = new Map<string, number>([
	["n", 1e-9],
	["u", 1e-6],
	["m", 1e-3],
	["k", 1e3],
	["M", 1e6],
	["G", 1e9],
	["T", 1e12],
	["P", 1e15],
	["E", 1e18],
	["Ki", 2 ** 10],
	["Mi", 2 ** 20],
	["Gi", 2 ** 30],
	["Ti", 2 ** 40],
	["Pi", 2 ** 50],
	["Ei", 2 ** 60],
]);
