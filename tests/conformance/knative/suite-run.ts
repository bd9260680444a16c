import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { reasonFor } from "./reasons.ts";

/** Of test2json (https://pkg.go.dev/cmd/test2json#hdr-Output_Format). */
interface TestEvent {
	Action: string;
	Test?: string;
	Output?: string;
	Elapsed?: number;
}

export interface SuiteResult {
	suite: "API" | "Runtime";
	/** With its subtests' names behind slashes. */
	name: string;
	/** Of the run without what the specification leaves open. */
	required: boolean;
	result: "passed" | "failed" | "skipped";
	seconds: number;
	/** Why it was skipped, or how it failed. */
	detail?: string;
}

export interface SuiteTarget {
	go: string;
	/** Of a test program. */
	program: string;
	suite: SuiteResult["suite"];
	/** `host:port` of the API, without a scheme. */
	server: string;
	token: string;
	dockerRepo: string;
	/** Tests at once; each has a service or more. */
	parallel: number;
	timeoutMinutes: number;
	/** Names of the tests to run, as a regular expression; undefined: all. */
	only: string | undefined;
	/** Hears each result as it comes. */
	tell: (result: SuiteResult) => void;
}

/** Lines of a failing test that are kept, the last ones. */
const keptLines = 12;
const namespace = "serving-tests";

/** Runs one of the two programs. `only`: the names of the optional tests to run; undefined: all that are required. */
export async function runSuite(target: SuiteTarget, only: readonly string[] | undefined): Promise<SuiteResult[]> {
	const folder = await mkdtemp(join(tmpdir(), "slipway-knative-"));
	try {
		const kubeconfig = join(folder, "kubeconfig");
		await writeFile(kubeconfig, kubeconfigFor(target), { mode: 0o600 });
		const words = ["tool", "test2json", "-t", target.program, ...flags(target, kubeconfig, only)];
		return await collect(target, words, folder, only === undefined);
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

/** A client sends a user's token over TLS only (client-go clientcmd): over loopback the URL itself carries it. */
function kubeconfigFor({ server, token }: SuiteTarget): string {
	return JSON.stringify({
		apiVersion: "v1",
		kind: "Config",
		clusters: [{ name: "slipway", cluster: { server: `http://suite:${token}@${server}` } }],
		contexts: [{ name: "slipway", context: { cluster: "slipway", user: "suite", namespace } }],
		users: [{ name: "suite", user: {} }],
		"current-context": "slipway",
	});
}

function flags(target: SuiteTarget, kubeconfig: string, only: readonly string[] | undefined): string[] {
	return [
		"-test.v=test2json",
		"-test.count=1",
		`-test.parallel=${target.parallel}`,
		`-test.timeout=${target.timeoutMinutes}m`,
		...(only
			? [`-test.run=^(${only.join("|")})$`, "-enable-beta=true"]
			: ["-disable-optional-api=true", ...(target.only === undefined ? [] : [`-test.run=${target.only}`])]),
		`-kubeconfig=${kubeconfig}`,
		"-disable-logstream=true",
		"-resolvabledomain=false",
		"-ingressendpoint=127.0.0.1",
		`-test-namespace=${namespace}`,
		`-dockerrepo=${target.dockerRepo}`,
	];
}

function collect(target: SuiteTarget, words: string[], home: string, required: boolean): Promise<SuiteResult[]> {
	const collector = new Collector(target.suite, required, target.tell);
	const child = spawn(target.go, words, { env: { ...process.env, HOME: home }, stdio: ["ignore", "pipe", "inherit"] });
	createInterface({ input: child.stdout }).on("line", (line) => collector.hear(line));
	return new Promise((resolve, reject) => {
		child.once("error", reject);
		// A choice of tests may be none of this program's.
		child.once("close", (code) =>
			resolve(target.only !== undefined && code === 0 && collector.isEmpty ? [] : collector.end()),
		);
	});
}

export class Collector {
	readonly #suite: SuiteResult["suite"];
	readonly #required: boolean;
	readonly #output = new Map<string, string[]>();
	readonly #results: SuiteResult[] = [];
	/** Begun, without a result. */
	readonly #open = new Set<string>();
	#complaint: string[] = [];
	readonly #tell: (result: SuiteResult) => void;

	constructor(suite: SuiteResult["suite"], required: boolean, tell: (result: SuiteResult) => void = () => {}) {
		this.#tell = tell;
		this.#suite = suite;
		this.#required = required;
	}

	hear(line: string): void {
		const event = parse(line);
		if (!event) return;
		const { Action, Test, Output } = event;
		if (Test === undefined) {
			if (Output !== undefined) this.#complaint = [...this.#complaint, Output.trimEnd()].slice(-keptLines);
			return;
		}
		if (Action === "run") this.#open.add(Test);
		else if (Action === "output") this.#keep(Test, Output ?? "");
		else if (Action === "pass" || Action === "fail" || Action === "skip")
			this.#conclude(Test, Action, event.Elapsed ?? 0);
	}

	get isEmpty(): boolean {
		return this.#results.length === 0 && this.#open.size === 0;
	}

	/** A test that has no result when the program ends has failed. */
	end(): SuiteResult[] {
		for (const name of this.#open) this.#add(name, "failed", 0, `no result in time\n${this.#complaint.join("\n")}`);
		if (this.#results.length === 0)
			this.#add("the suite", "failed", 0, this.#complaint.join("\n") || "it told nothing");
		return this.#results;
	}

	#keep(test: string, output: string): void {
		const text = output.trimEnd();
		if (/^\s*(=== |--- (PASS|FAIL|SKIP))/.test(text) || text.trim() === "") return;
		const lines = this.#output.get(test) ?? [];
		this.#output.set(test, [...lines, text].slice(-keptLines));
	}

	#conclude(name: string, action: "pass" | "fail" | "skip", seconds: number): void {
		this.#open.delete(name);
		const result = ({ pass: "passed", fail: "failed", skip: "skipped" } as const)[action];
		const lines = this.#output.get(name) ?? [];
		this.#output.delete(name);
		// What a failing test told last says why; of a skipped one it is all.
		const detail = action === "pass" ? undefined : lines.map((text) => text.trim()).join("\n");
		this.#add(name, result, seconds, detail);
	}

	#add(name: string, result: SuiteResult["result"], seconds: number, detail: string | undefined): void {
		const reason = result === "passed" ? undefined : (reasonFor(name, this.#required) ?? detail);
		const told = {
			suite: this.#suite,
			name,
			required: this.#required,
			result,
			seconds,
			...(reason !== undefined && reason !== "" && { detail: reason }),
		};
		this.#results.push(told);
		this.#tell(told);
	}
}

function parse(line: string): TestEvent | undefined {
	try {
		return JSON.parse(line) as TestEvent;
	} catch {
		return undefined; // not of test2json: a line that the program wrote past it
	}
}
