/** Text for people: tables, sizes, ages, colours. */
import type { ColdStart, Spares } from "../client/schema.ts";

export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
	const all = [header, ...rows];
	const widths = header.map((_, column) => Math.max(...all.map((row) => width(row[column] ?? ""))));
	return all
		.map((row) =>
			row
				.map((cell, column) => cell + " ".repeat(Math.max(0, (widths[column] ?? 0) - width(cell))))
				.join("  ")
				.trimEnd(),
		)
		.join("\n");
}

const escapes = /\u001b\[\d+m/g;

function width(cell: string): number {
	return cell.replace(escapes, "").length;
}

/** Binary units, as memory and Lambda's own figures are counted. */
export function formatBytes(bytes: number): string {
	const units = ["B", "KiB", "MiB", "GiB", "TiB"];
	let value = bytes;
	let unit = 0;
	while (value >= 1024 && unit < units.length - 1) {
		value /= 1024;
		unit++;
	}
	return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** The two largest units: `2d 3h`, `4m 10s`, `12s`. */
export function formatDuration(ms: number): string {
	const seconds = Math.max(0, Math.floor(ms / 1000));
	const parts: [number, string][] = [
		[Math.floor(seconds / 86_400), "d"],
		[Math.floor(seconds / 3600) % 24, "h"],
		[Math.floor(seconds / 60) % 60, "m"],
		[seconds % 60, "s"],
	];
	const first = parts.findIndex(([value]) => value > 0);
	if (first < 0) return "0s";
	return parts
		.slice(first, first + 2)
		.filter(([value]) => value > 0)
		.map(([value, unit]) => `${value}${unit}`)
		.join(" ");
}

/** `0.12 ms`, `3.1 ms`, `215 ms`, `1.25 s`: what a person compares. */
export function formatMs(ms: number): string {
	if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
	return `${ms >= 100 ? ms.toFixed(0) : ms >= 1 ? ms.toFixed(1) : ms.toFixed(2)} ms`;
}

/** `7.6 ms: queue 0.02 ms, sandbox 1.2 ms, …`; of a sandbox that stood made, that it did. */
export function formatColdStart(coldStart: ColdStart): string {
	const { queueMs, sandboxMs, processMs, initMs, firstPollMs, spare } = coldStart;
	const stages = [
		`queue ${formatMs(queueMs)}`,
		spare && sandboxMs === 0 ? "sandbox ready" : `sandbox ${formatMs(sandboxMs)}`,
		`process ${formatMs(processMs)}`,
		`init ${formatMs(initMs)}`,
		`first poll ${formatMs(firstPollMs)}`,
	];
	return `${formatMs(queueMs + sandboxMs + processMs + initMs + firstPollMs)}: ${stages.join(", ")}`;
}

/** `created auto, initialized off` */
export function formatSpares({ created, initialized }: Spares): string {
	return `created ${created === 0 ? "off" : created}, initialized ${initialized === 0 ? "off" : initialized}`;
}

/** `5m`, `1h`, `90` (seconds), `2d`; undefined when it is none of these. */
export function parseDuration(text: string): number | undefined {
	const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
	if (!match) return undefined;
	const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
	return Number(match[1]) * (units[match[2] ?? "s"] ?? 1000);
}

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export function paint(color: boolean, style: keyof typeof codes, textToPaint: string): string {
	return color ? `\u001b[${codes[style]}m${textToPaint}\u001b[0m` : textToPaint;
}

/** `sha256:` and twelve characters, as docker shortens. */
export function shortDigest(digest: string): string {
	return digest.slice(0, "sha256:".length + 12);
}

/** Local time, to the second: `2026-11-21 03:22:55`. */
export function formatTime(ms: number): string {
	const date = new Date(ms);
	const local = new Date(ms - date.getTimezoneOffset() * 60_000);
	return local.toISOString().slice(0, 19).replace("T", " ");
}
