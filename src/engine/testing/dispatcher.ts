import type { TestContext } from "node:test";
import { unknownCpu } from "../../base/cpu-meter.ts";
import { SlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { type Log, silentLog } from "../../base/log.ts";
import { LambdaContract } from "../../contracts/lambda/lambda-contract.ts";
import type { RootfsStore } from "../../core/image/rootfs-store.ts";
import type { FunctionContract, FunctionRevision } from "../../core/invocation/function-contract.ts";
import { FakeLogStore } from "../../core/log/fake-log-store.ts";
import { FakeSandboxRuntime, type FakeSandboxRuntimeOptions } from "../../core/sandbox/fake-sandbox-runtime.ts";
import { Dispatcher, type DispatcherOptions } from "../dispatch/dispatch.ts";
import { Meter } from "../dispatch/meter.ts";
import { fakeFunction } from "./fake-function.ts";
import { fastClock } from "./fast-clock.ts";

export function revision(name = "f", change: Partial<FunctionRevision["configuration"]> = {}): FunctionRevision {
	return {
		name,
		arn: `arn:aws:lambda:us-east-1:123456789012:function:${name}`,
		version: "$LATEST",
		id: `revision-of-${name}`,
		image: {
			diffIds: [],
			entrypoint: ["/bootstrap"],
			cmd: ["handler"],
			env: { FROM: "image" },
			workingDir: "/",
			user: "",
			architecture: "x86_64",
			size: 1,
		},
		configuration: {
			description: "",
			role: "",
			memoryMiB: 128,
			timeoutS: 20,
			tmpMiB: 512,
			architecture: "x86_64",
			environment: { MINE: "yes" },
			imageConfig: undefined,
			tracingMode: "PassThrough",
			logFormat: "Text",
			applicationLogLevel: undefined,
			systemLogLevel: undefined,
			logGroup: `/aws/lambda/${name}`,
			...change,
		},
	};
}

export interface Setup extends Partial<FakeSandboxRuntimeOptions> {
	revisions?: FunctionRevision[];
	options?: Partial<DispatcherOptions>;
	/** By function name. */
	reserved?: Record<string, number>;
	/** The image's files are gone from this machine. */
	lostLayers?: boolean;
	/** Absolute paths of the image's companions. */
	companions?: string[];
	log?: Log;
	/** Lambda's, unless another is given. */
	contract?: FunctionContract;
	/** How many times shorter timeouts are than they say; less of it where a busy machine must not run into them. */
	speed?: number;
}

/** Keeps the messages of warnings and errors. */
export function recordingLog(): { log: Log; lines: string[] } {
	const lines: string[] = [];
	const keep = (message: string) => void lines.push(message);
	return { log: { ...silentLog, warn: keep, error: keep }, lines };
}

export function setUp(
	t: TestContext,
	{
		revisions = [revision()],
		options = {},
		reserved = {},
		companions = [],
		lostLayers = false,
		log = silentLog,
		contract = new LambdaContract({ region: "us-east-1", ids: randomIds, log: silentLog }),
		speed = 100,
		...fake
	}: Setup,
) {
	const clock = fastClock(speed);
	const runtime = new FakeSandboxRuntime({ program: fakeFunction(({ payload }) => payload), ...fake });
	const logs = new FakeLogStore();
	const meter = new Meter();
	const gone: string[] = [];
	let acquired = 0;
	const rootfs = {
		acquire: async () => {
			if (lostLayers) throw new SlipwayError("NOT_FOUND", "Layer sha256:… is not unpacked");
			acquired++;
			const files = async (folder: string) => companions.filter((path) => path.startsWith(`${folder}/`));
			return { path: "/", files, release: async () => void acquired-- };
		},
	} as unknown as RootfsStore;
	const key = ({ name, version }: FunctionRevision) => (version === "$LATEST" ? name : `${name}:${version}`);
	const current = new Map(revisions.map((each) => [key(each), each]));
	const dispatcher = new Dispatcher(
		{
			runtime,
			rootfs,
			contract,
			logs,
			clock,
			ids: randomIds,
			log,
			egress: false,
			onCodeGone: async (revision) => void gone.push(revision.id),
			onLifecycle: meter.record,
			resolveRevision: (name, qualifier) => current.get(qualifier === undefined ? name : `${name}:${qualifier}`)!,
			cpu: unknownCpu,
			reservedConcurrency: (name) => reserved[name],
			unreservedConcurrency: () => 100 - Object.values(reserved).reduce((sum, count) => sum + count, 0),
		},
		{
			maxSandboxes: 50,
			accountConcurrency: 100,
			idleTimeoutMs: 600_000,
			freezeAfterMs: 600_000,
			cpus: 4,
			spares: { maxTotal: 0, maxPerFunction: 0, keepMs: 0 },
			...options,
		},
	);
	t.after(() => dispatcher.close(0));
	const invoke = async (payload: unknown = {}, name = "f", tail = false) => {
		const result = await dispatcher.invoke(name, {
			requestId: randomIds.uuid(),
			payload: Buffer.from(JSON.stringify(payload)),
			invokedArn: current.get(name)!.arn,
			tail,
		});
		return { ...result, json: JSON.parse(Buffer.from(result.payload).toString()) };
	};
	const messages = async (name = "f") => (await logs.read(`/aws/lambda/${name}`, {})).map((event) => event.message);
	const idle = async () => {
		while ((await dispatcher.sandboxes()).some((sandbox) => sandbox.state === "busy")) await new Promise(setImmediate);
	};
	return { runtime, dispatcher, invoke, messages, meter, current, idle, gone, acquired: () => acquired };
}
