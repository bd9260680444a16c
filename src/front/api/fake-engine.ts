/** The engine's answers without an engine, for tests of what stands in front of it. */
import { stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { SlipwayError } from "../../base/error.ts";
import type { Status } from "../../client/schema.ts";
import type { FunctionRecord } from "../../core/function/function.ts";
import type { ColdStart } from "../../core/invocation/cold-start.ts";
import type { Failure, FunctionRevision } from "../../core/invocation/function-contract.ts";
import type { StoredLogEvent } from "../../core/log/log-store.ts";
import { Meter } from "../../engine/dispatch/meter.ts";
import type { ApiDeps } from "./ports.ts";

export const fakeStatus: Status = {
	version: "0.0.0",
	pid: 1,
	address: "127.0.0.1:4747",
	home: "/nowhere",
	runtime: "fake 1.0",
	startedMs: 0,
	uptimeMs: 90_061_000,
	region: "us-east-1",
	accountId: "123456789012",
	functions: 2,
	sandboxes: 1,
	memoryBytes: 64 * 1024 * 1024,
};

const fakeColdStart: ColdStart = {
	arrivedMs: 0,
	spare: false,
	steps: [
		{ stage: "queue", ms: 0.25 },
		{ stage: "sandbox", ms: 1.5 },
		{ stage: "process", ms: 2 },
		{ stage: "init", ms: 2.25 },
		{ stage: "first-poll", ms: 0.125 },
	],
};

const fakeFailure: Failure = { kind: "exit", code: 1, signal: undefined, oomKilled: false };
const fakeReport = {
	durationMs: 3,
	billedMs: 4,
	memorySizeMiB: 128,
	maxMemoryUsedMiB: 20,
	initMs: 4.25,
	coldStart: fakeColdStart,
	traceId: undefined,
};

/** The engine's answers, kept in memory. `slow` waits for the milliseconds of its payload, `broken` fails. */
export function fakeApiDeps(
	input: Pick<ApiDeps, "closing" | "clock" | "ids" | "log"> & { accountId: string; home: string },
): ApiDeps {
	const records = new Map<string, FunctionRecord>();
	const meter = new Meter([], (name) => records.has(name));
	const lines: StoredLogEvent[] = [];
	const digest = `sha256:${"a".repeat(64)}` as const;
	const missing = (name: string) => new SlipwayError("NOT_FOUND", `Function not found: ${name}`);
	const get = (name: string) => {
		const record = records.get(name);
		if (!record) throw missing(name);
		return record;
	};
	return {
		token: "",
		version: "0.0.0",
		functions: {
			async create(request) {
				if (records.has(request.name))
					throw new SlipwayError("ALREADY_EXISTS", `Function already exist: ${request.name}`);
				const record = fakeRecord(request.name, input.clock.now(), request.imageUri);
				records.set(request.name, record);
				return record;
			},
			get,
			list: ({ after, limit }) =>
				[...records.values()]
					.filter(({ name }) => after === undefined || name > after)
					.sort((a, b) => (a.name < b.name ? -1 : 1))
					.slice(0, limit),
			async delete(name) {
				if (!records.delete(name)) throw missing(name);
			},
			progress: () => undefined,
			async setSpares(name, change) {
				const record = get(name);
				const changed = { ...record, spares: { ...record.spares, ...change } };
				records.set(name, changed);
				return changed;
			},
			get count() {
				return records.size;
			},
		},
		meter,
		process: () => ({ residentBytes: 1024, cpuSeconds: 1.5, startedMs: 2000 }),
		dispatcher: {
			async invoke(name, request) {
				get(name);
				const payload = Buffer.from(request.payload).toString();
				if (name === "slow") await sleep(Number(JSON.parse(payload)), undefined, { ref: false });
				if (name === "throttled") throw new SlipwayError("THROTTLED", "Rate Exceeded.", { retryAfterMs: 1500 });
				if (name === "bug") throw new Error("secret detail");
				lines.push({ timestamp: input.clock.now(), stream: "s1", message: `event ${payload}` });
				const functionError = name === "broken" ? "Unhandled" : undefined;
				const report = { ...fakeReport, failure: functionError && fakeFailure };
				const { requestId } = request;
				meter.record({ type: "invocation-end", requestId, atMs: 0, report }, { name } as FunctionRevision);
				return {
					payload: Buffer.from(functionError ? '{"errorMessage":"no"}' : `{"echo":${payload}}`),
					functionError,
					executedVersion: "$LATEST",
					logTail: request.tail ? Buffer.from("START\nEND\n") : undefined,
					coldStart: fakeColdStart,
				};
			},
			census: () => ({
				states: { idle: 1 },
				functions: new Map([["hello", 1]]),
				provisioned: 0,
				spares: 2,
				initializedSpares: 0,
			}),
			stop: async () => 1,
			sandboxes: async () => [
				{
					id: "sb-1",
					functionName: "hello",
					version: "$LATEST",
					initializationType: "on-demand" as const,
					preInitialized: false,
					state: "idle",
					startedMs: 0,
					startMs: 12.345,
					lastUsedMs: 0,
					invocations: 3,
					memoryMiB: 128,
					memoryBytes: 1024,
				},
			],
		},
		images: {
			list: async () => [
				{
					reference: "127.0.0.1/hello:1",
					repository: "hello",
					tag: "1",
					digest,
					mediaType: "application/vnd.oci.image.manifest.v1+json",
					size: 3 * 1024 * 1024,
					pushedMs: 0,
				},
			],
			async inspect(reference) {
				throw new SlipwayError("NOT_FOUND", `Image '${reference}' was not found`);
			},
			async remove() {},
			async importArchive(path, options) {
				const { size } = await stat(path);
				options?.onProgress?.({ stage: "unpack", digest, done: size, total: size });
				if (options?.repository === "evil")
					throw new SlipwayError("INVALID_IMAGE", "A layer breaks a rule", { reason: "LayerPathEscape" });
				return [{ references: [`127.0.0.1/${options?.repository ?? "hello:1"}`], digest }];
			},
			pull: async (reference) => ({ reference, digest }),
		},
		logs: {
			read: async (_group, { limit = 10_000 }) => lines.slice(-limit),
			async *follow(_group, { signal }) {
				for (let next = lines.length; !signal.aborted; await sleep(5))
					for (; next < lines.length; next++) yield lines[next]!;
			},
		},
		status: () => fakeStatus,
		defaultRole: `arn:aws:iam::${input.accountId}:role/slipway`,
		importFolder: `${input.home}/tmp`,
		importMaxBytes: 1024 * 1024,
		closing: input.closing,
		clock: input.clock,
		ids: input.ids,
		log: input.log,
	};
}

function fakeRecord(name: string, now: number, imageUri: string): FunctionRecord {
	return {
		name,
		arn: `arn:aws:lambda:us-east-1:123456789012:function:${name}`,
		revisionId: "r1",
		createdMs: now,
		lastModifiedMs: now,
		configuration: {
			description: "",
			role: "arn:aws:iam::123456789012:role/r",
			memoryMiB: 128,
			timeoutS: 3,
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
		code: { imageUri, resolvedImageUri: undefined, manifestDigest: undefined, image: undefined },
		state: { state: "Active" },
		lastUpdate: { status: "Successful" },
		active: undefined,
		tags: {},
		nextVersion: 1,
		aliases: {},
		policies: {},
		reservedConcurrency: undefined,
		provisionedConcurrency: {},
		urls: {},
		recursiveLoop: "Terminate",
		spares: { created: "auto", initialized: "auto" },
	};
}
