import { areaOf, type Frame } from "./cpu-profile.ts";

const width = 1400;
const rowHeight = 17;
/** Pixels of one character at 11 px. */
const characterWidth = 6.2;
/** Frames narrower than this (0.1 % of the whole) can't be seen, and would be most of the file. */
const minWidth = 1.4;

const colours: Readonly<Record<string, string>> = {
	"V8 and kernel": "#c9c9c9",
	node: "#a8c8a0",
	daemon: "#e8d28a",
	"front/aws": "#e9a36b",
	"contracts/lambda": "#8fb3de",
	engine: "#b7a2dd",
	"adapters/logs-fs": "#d99bb4",
	"adapters/sandbox-oci": "#d9857b",
};
const otherColour = "#dddddd";

/** A flame graph: what is called stands on its caller, as wide as the time it took. Whole text in each frame's tooltip. */
export function flameSvg(root: Frame, title: string): string {
	const depth = depthOf(root);
	const height = (depth + 1) * rowHeight + 60;
	const bars: string[] = [];
	const draw = (frame: Frame, x: number, level: number) => {
		const pixels = (frame.totalUs / root.totalUs) * width;
		if (pixels < minWidth) return;
		bars.push(bar(frame, x, height - 30 - (level + 1) * rowHeight, pixels, root.totalUs));
		let at = x;
		for (const child of sorted(frame)) {
			draw(child, at, level + 1);
			at += (child.totalUs / root.totalUs) * width;
		}
	};
	draw(root, 0, 0);
	return [
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="monospace" font-size="11">`,
		`<title>${escaped(title)}</title>`,
		`<rect width="100%" height="100%" fill="#ffffff"/>`,
		`<text x="6" y="18" font-size="14">${escaped(title)}</text>`,
		...bars,
		...legend(height),
		"</svg>\n",
	].join("\n");
}

function bar(frame: Frame, x: number, y: number, pixels: number, all: number): string {
	const share = `${((frame.totalUs / all) * 100).toFixed(1)} %`;
	const label = frame.name.slice(0, Math.floor((pixels - 4) / characterWidth));
	const text = label.length < 3 ? "" : `<text x="${(x + 2).toFixed(1)}" y="${y + 12}">${escaped(label)}</text>`;
	const fill = colours[areaOf(frame.place)] ?? otherColour;
	return (
		`<g><title>${escaped(`${frame.name} ${frame.place} ${share}`)}</title>` +
		`<rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(pixels - 0.5, 0.5).toFixed(1)}" height="${rowHeight - 1}" fill="${fill}"/>${text}</g>`
	);
}

function legend(height: number): string[] {
	return Object.entries(colours).map(
		([area, colour], index) =>
			`<rect x="${6 + index * 170}" y="${height - 20}" width="12" height="12" fill="${colour}"/>` +
			`<text x="${22 + index * 170}" y="${height - 10}">${escaped(area)}</text>`,
	);
}

function sorted(frame: Frame): Frame[] {
	return [...frame.children.values()].sort((a, b) => b.totalUs - a.totalUs);
}

function depthOf(root: Frame): number {
	const below = (frame: Frame): number => {
		if ((frame.totalUs / root.totalUs) * width < minWidth) return 0;
		return 1 + Math.max(0, ...[...frame.children.values()].map(below));
	};
	return below(root);
}

function escaped(text: string): string {
	return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
