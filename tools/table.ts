/** Aligns rows of cells in columns; numbers to the right. */
export function formatTable(header: string[], rows: string[][]): string {
	const all = [header, ...rows];
	const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
	const isNumeric = header.map((_, column) => rows.every((row) => /^[\d.,–-]/.test(row[column] ?? "") || !row[column]));
	const line = (row: string[]) =>
		row
			.map((cell, column) =>
				isNumeric[column] && column > 0 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
			)
			.join("  ")
			.trimEnd();
	return [line(header), widths.map((width) => "─".repeat(width)).join("  "), ...rows.map(line)].join("\n");
}

export function median(values: number[]): number {
	return quantile(values, 0.5);
}

/** The smallest value that at least the share `q` of the values does not exceed (nearest rank). */
export function quantile(values: number[], q: number): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

/** "3.4", or a dash for what was not measured. */
export function formatMs(value: number): string {
	return Number.isNaN(value) ? "–" : value.toFixed(1);
}

export function formatBytes(bytes: number): string {
	if (Number.isNaN(bytes)) return "–";
	return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
