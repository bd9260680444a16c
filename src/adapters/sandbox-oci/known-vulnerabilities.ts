import type { RuntimeProgram } from "./runtime-program.ts";

/** A published weakness of a runtime program through which a container reaches its host. */
export interface Vulnerability {
	cve: string;
	runtime: RuntimeProgram["name"];
	/** The first version of each release series that has the fix; series above the last one have it too. */
	fixedIn: readonly string[];
	/** Why it can't be reached through this program, where that is so: such a version is named, not refused. */
	closedHere?: string;
}

/** The advisories are those of github.com/opencontainers/runc and github.com/containers/crun. */
export const vulnerabilities: readonly Vulnerability[] = [
	{ cve: "CVE-2019-5736", runtime: "runc", fixedIn: ["1.0.0"] },
	{ cve: "CVE-2021-30465", runtime: "runc", fixedIn: ["1.0.0"] },
	{ cve: "CVE-2024-21626", runtime: "runc", fixedIn: ["1.1.12"] },
	{ cve: "CVE-2025-31133", runtime: "runc", fixedIn: ["1.2.8", "1.3.3", "1.4.0"] },
	{ cve: "CVE-2025-52565", runtime: "runc", fixedIn: ["1.2.8", "1.3.3", "1.4.0"] },
	{ cve: "CVE-2025-52881", runtime: "runc", fixedIn: ["1.2.8", "1.3.3", "1.4.0"] },
	{
		cve: "CVE-2026-41579",
		runtime: "runc",
		fixedIn: ["1.3.6", "1.4.3", "1.5.0"],
		closedHere: "an image whose /dev is a link is refused before runc sees it",
	},
	{ cve: "CVE-2019-18837", runtime: "crun", fixedIn: ["0.10.5"] },
	{ cve: "CVE-2022-27650", runtime: "crun", fixedIn: ["1.4.4"] },
	{
		cve: "CVE-2025-24965",
		runtime: "crun",
		fixedIn: ["1.20"],
		closedHere: "it is in the krun handler, which is never asked for",
	},
	{
		cve: "CVE-2026-30892",
		runtime: "crun",
		fixedIn: ["1.27"],
		closedHere: "it is in `crun exec`, which is never called",
	},
	{
		cve: "CVE-2026-88264",
		runtime: "crun",
		fixedIn: [],
		closedHere: "every sandbox has a fresh /dev, which the advisory says is not exposed",
	},
	{
		cve: "CVE-2026-88265",
		runtime: "crun",
		fixedIn: [],
		closedHere: "every sandbox has a fresh /dev, which the advisory says is not exposed",
	},
];

/**
 * The weaknesses that a runtime has. A distribution keeps an old version number and adds fixes to it: `changelog` is the
 * package's own, and what it says to have fixed is.
 */
export function knownVulnerabilities(
	runtime: RuntimeProgram["name"],
	version: string,
	changelog = "",
): { open: Vulnerability[]; closedHere: Vulnerability[] } {
	const parsed = parseVersion(version);
	const present = vulnerabilities.filter(
		(candidate) =>
			candidate.runtime === runtime &&
			// A version that can't be read is taken for the oldest.
			(parsed === undefined || !isFixed(parsed, candidate.fixedIn)) &&
			!changelog.includes(candidate.cve),
	);
	return {
		open: present.filter((candidate) => candidate.closedHere === undefined),
		closedHere: present.filter((candidate) => candidate.closedHere !== undefined),
	};
}

interface Version {
	numbers: [number, number, number];
	/** "rc.3" comes before the release. */
	isCandidate: boolean;
}

/** "1.1.5+ds1", "1.2.0-rc.2", "1.20"; undefined for anything else. */
function parseVersion(text: string): Version | undefined {
	const match = /^v?(\d+)\.(\d+)(?:\.(\d+))?(.*)$/.exec(text.trim());
	if (!match) return undefined;
	return {
		numbers: [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)],
		isCandidate: /^[-~]?rc/.test(match[4]!),
	};
}

/** Fixed in its own series (major and minor) from the patch on, and in every series above the last one that is named. */
function isFixed(version: Version, fixedIn: readonly string[]): boolean {
	const fixes = fixedIn.map((text) => parseVersion(text)!);
	const last = fixes.at(-1);
	if (!last) return false;
	const fix = fixes.find((candidate) => sameSeries(candidate, version)) ?? last;
	const order = compare(version.numbers, fix.numbers);
	return order > 0 || (order === 0 && !version.isCandidate);
}

function sameSeries(a: Version, b: Version): boolean {
	return a.numbers[0] === b.numbers[0] && a.numbers[1] === b.numbers[1];
}

function compare(a: readonly number[], b: readonly number[]): number {
	for (let at = 0; at < 3; at++) if (a[at] !== b[at]) return a[at]! - b[at]!;
	return 0;
}
