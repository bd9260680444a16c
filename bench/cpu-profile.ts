/** A V8 CPU profile (https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile) as a tree of what called what. */

export interface CpuProfile {
	nodes: {
		id: number;
		callFrame: { functionName: string; url: string; lineNumber: number };
		children?: number[];
	}[];
	/** Node ids, and the microseconds that passed before each. */
	samples: number[];
	timeDeltas: number[];
}

export interface Frame {
	name: string;
	/** Where it is: a file below src/ with its line, "node:…", or "" for V8 and the kernel. */
	place: string;
	/** Microseconds in it and in what it called, and in it alone. */
	totalUs: number;
	selfUs: number;
	children: Map<string, Frame>;
}

/** What is no work: the event loop waits. */
const idleNames: ReadonlySet<string> = new Set(["(idle)"]);

/** Frames of one function called from one place are one frame. The root's total is the time that was worked. */
export function frameTree(profile: CpuProfile): Frame {
	const selfOf = new Map<number, number>();
	for (const [index, id] of profile.samples.entries())
		selfOf.set(id, (selfOf.get(id) ?? 0) + (profile.timeDeltas[index] ?? 0));
	const byId = new Map(profile.nodes.map((node) => [node.id, node]));
	const root = newFrame("all", "");
	const add = (id: number, into: Frame): number => {
		const node = byId.get(id);
		if (!node || idleNames.has(node.callFrame.functionName)) return 0;
		const frame = childOf(into, node.callFrame);
		let us = selfOf.get(id) ?? 0;
		frame.selfUs += us;
		for (const child of node.children ?? []) us += add(child, frame);
		frame.totalUs += us;
		return us;
	};
	const top = profile.nodes.find(({ callFrame }) => callFrame.functionName === "(root)");
	for (const child of top?.children ?? []) root.totalUs += add(child, root);
	return root;
}

function childOf(parent: Frame, { functionName, url, lineNumber }: CpuProfile["nodes"][0]["callFrame"]): Frame {
	const name = functionName === "" ? "(anonymous)" : functionName;
	const place = shortPlace(url, lineNumber);
	const key = `${name} ${place}`;
	let child = parent.children.get(key);
	if (!child) {
		child = newFrame(name, place);
		parent.children.set(key, child);
	}
	return child;
}

function newFrame(name: string, place: string): Frame {
	return { name, place, totalUs: 0, selfUs: 0, children: new Map() };
}

/** Node counts lines from 0. */
function shortPlace(url: string, line: number): string {
	if (url === "") return "";
	const file = url.startsWith("node:") ? url : url.slice(Math.max(url.lastIndexOf("/src/"), 0)).replace(/^\//, "");
	return `${file}:${line + 1}`;
}

/** Which part of the program a frame belongs to: a folder of src/, "node", or "V8 and kernel". */
export function areaOf(place: string): string {
	if (place.startsWith("node:")) return "node";
	return /^src\/((?:front|adapters|contracts)\/[^/]+(?=\/)|[^/]+)/.exec(place)?.[1] ?? "V8 and kernel";
}

export interface FunctionTime {
	name: string;
	place: string;
	selfUs: number;
	/** Of a function that calls itself only once. */
	totalUs: number;
}

/** By function, whoever called it. */
export function functionTimes(root: Frame): FunctionTime[] {
	const times = new Map<string, FunctionTime>();
	const visit = (frame: Frame, above: ReadonlySet<string>) => {
		const key = `${frame.name} ${frame.place}`;
		const known = times.get(key) ?? { name: frame.name, place: frame.place, selfUs: 0, totalUs: 0 };
		known.selfUs += frame.selfUs;
		if (!above.has(key)) known.totalUs += frame.totalUs;
		times.set(key, known);
		const within = new Set(above).add(key);
		for (const child of frame.children.values()) visit(child, within);
	};
	for (const child of root.children.values()) visit(child, new Set());
	return [...times.values()];
}
