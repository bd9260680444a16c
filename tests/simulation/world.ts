/** The dispatcher in virtual time on a simulated platform, with what a simulation asks and counts. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { unknownCpu } from "../../src/base/cpu-meter.ts";
import { isSlipwayError } from "../../src/base/error.ts";
import type { Ids } from "../../src/base/ids.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import type { RootfsStore } from "../../src/core/image/rootfs-store.ts";
import type { FunctionRevision } from "../../src/core/invocation/function-contract.ts";
import type { InvocationResult } from "../../src/core/invocation/invocation.ts";
import type { LogStore } from "../../src/core/log/log-store.ts";
import { Dispatcher, type DispatcherDeps, type DispatcherOptions } from "../../src/engine/dispatch/dispatch.ts";
import type { SandboxView } from "../../src/engine/dispatch/sandbox-census.ts";
import { type Script, SimulatedPlatform } from "./simulated-platform.ts";
import { VirtualClock } from "./virtual-clock.ts";

export function revisionOf(name: string, version = "$LATEST", timeoutS = 3): FunctionRevision {
	return {
		name,
		version,
		arn: `arn:aws:lambda:us-east-1:123456789012:function:${name}`,
		id: `${name}:${version}`,
		image: {
			diffIds: [],
			entrypoint: ["/f"],
			cmd: [],
			env: {},
			workingDir: "/",
			user: "",
			architecture: "x86_64",
			size: 1,
		},
		configuration: {
			description: "",
			role: "",
			memoryMiB: 128,
			timeoutS,
			tmpMiB: 512,
			architecture: "x86_64",
			environment: undefined,
			imageConfig: undefined,
			tracingMode: "PassThrough",
			logFormat: "Text",
			applicationLogLevel: undefined,
			systemLogLevel: undefined,
			logGroup: `/aws/lambda/${name}`,
		},
	};
}

/** How an event ended for its caller. */
export type Answer = { at: number; requestId: string } & ({ result: InvocationResult } | { error: unknown });

export interface World {
	clock: VirtualClock;
	platform: SimulatedPlatform;
	dispatcher: Dispatcher;
	/** By function; absent means unreserved. */
	reserved: Map<string, number>;
	/** By name, or `name:qualifier`. */
	revisions: Map<string, FunctionRevision>;
	/** Sends an event; its answer comes as time passes. */
	invoke(name: string, qualifier?: string): { answer: Answer | undefined };
	/** Sends so many at once and waits `ms`. Their answers, and how many were throttled for which reason. */
	burst(
		count: number,
		name: string,
		ms: number,
		qualifier?: string,
	): Promise<{ ok: number; throttled: Record<string, number> }>;
	sandboxes(): Promise<SandboxView[]>;
	/** Errors and warnings in the daemon's log. */
	complaints: string[];
}

const quick: Script = {
	createMs: 20,
	init: () => ({ ms: 100, ends: "well" }),
	event: () => ({ ms: 50, ends: "well" }),
	finishMs: () => 0,
	companions: [],
	companion: () => ({ registersMs: 10, crashesMs: undefined, leavesMs: 10 }),
	breaks: () => false,
	thawMs: () => 0,
	disposeMs: () => 0,
};

export function simulate(
	t: TestContext,
	script: Partial<Script> = {},
	options: Partial<DispatcherOptions> = {},
	deps: Partial<Pick<DispatcherDeps, "cpu" | "memory" | "spareSetting">> = {},
): World {
	const clock = new VirtualClock();
	const platform = new SimulatedPlatform(clock, { ...quick, ...script });
	const reserved = new Map<string, number>();
	const revisions = new Map<string, FunctionRevision>();
	const complaints: string[] = [];
	const complain = (message: string, fields?: Record<string, unknown>) =>
		void complaints.push(`${message} ${String(fields?.error ?? "")}`);
	const log: Log = { ...silentLog, warn: complain, error: complain };
	const accountConcurrency = options.accountConcurrency ?? 1000;
	let id = 0;
	const ids: Ids = { uuid: () => `request-${++id}`, hex: () => String(++id) };
	const dispatcher = new Dispatcher(
		{
			runtime: platform.runtime,
			rootfs: {
				acquire: async () => ({
					path: "/",
					files: async () => [...platform.script.companions],
					release: async () => {},
				}),
			} as Partial<RootfsStore> as RootfsStore,
			contract: platform.contract,
			logs: { append: () => {} } as Partial<LogStore> as LogStore,
			clock,
			ids,
			log,
			egress: false,
			onCodeGone: async () => {},
			onLifecycle: () => {},
			resolveRevision: (name, qualifier) =>
				revisions.get(qualifier ? `${name}:${qualifier}` : name) ?? revisionOf(name, qualifier),
			cpu: unknownCpu,
			...deps,
			reservedConcurrency: (name) => reserved.get(name),
			unreservedConcurrency: () => accountConcurrency - [...reserved.values()].reduce((sum, n) => sum + n, 0),
		},
		{
			maxSandboxes: 5000,
			accountConcurrency,
			idleTimeoutMs: 600_000,
			freezeAfterMs: 10,
			cpus: 5000,
			spares: { maxTotal: 0, maxPerFunction: 0, keepMs: 0 },
			...options,
		},
	);
	t.after(async () => {
		const closed = dispatcher.close(0);
		// More than companions get for their end.
		await clock.advance(5000);
		await closed;
	});
	const invoke: World["invoke"] = (name, qualifier) => {
		const sent: { answer: Answer | undefined } = { answer: undefined };
		const request = {
			requestId: ids.uuid(),
			payload: Buffer.from("{}"),
			invokedArn: name,
			...(qualifier && { qualifier }),
		};
		dispatcher.invoke(name, request).then(
			(result) => {
				assert.equal(sent.answer, undefined, "a second answer");
				sent.answer = { result, at: clock.now(), requestId: request.requestId };
			},
			(error: unknown) => {
				assert.equal(sent.answer, undefined, "a second answer");
				sent.answer = { error, at: clock.now(), requestId: request.requestId };
			},
		);
		return sent;
	};
	const burst: World["burst"] = async (count, name, ms, qualifier) => {
		const sent = Array.from({ length: count }, () => invoke(name, qualifier));
		await clock.advance(ms);
		return tally(sent);
	};
	const sandboxes = () => dispatcher.sandboxes();
	return { clock, platform, dispatcher, reserved, revisions, invoke, burst, sandboxes, complaints };
}

/** Events that got an answer of their function, and those that were throttled, by reason. Throws what else went wrong. */
export function tally(sent: readonly { answer: Answer | undefined }[]): {
	ok: number;
	throttled: Record<string, number>;
} {
	const throttled: Record<string, number> = {};
	let ok = 0;
	for (const { answer } of sent) {
		if (!answer) continue;
		if ("result" in answer) ok++;
		else if (isSlipwayError(answer.error, "THROTTLED") && answer.error.reason)
			throttled[answer.error.reason] = (throttled[answer.error.reason] ?? 0) + 1;
		else throw answer.error;
	}
	return { ok, throttled };
}
