/** For tests: the front on a random port, over the engine's real functions with images and sandboxes that are made up. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Clock, systemClock } from "../../base/clock.ts";
import { unknownCpu } from "../../base/cpu-meter.ts";
import { SlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { type Log, silentLog } from "../../base/log.ts";
import { FakeFunctionStore } from "../../core/function/fake-function-store.ts";
import type { InvocationRequest, InvocationResult } from "../../core/invocation/invocation.ts";
import { FakeMessageLog } from "../../core/message-log/fake-message-log.ts";
import { FakeResourceStore } from "../../core/resource/fake-resource-store.ts";
import { AsyncInvocations } from "../../engine/async-invocations/async-invocations.ts";
import { FunctionTarget } from "../../engine/async-invocations/function-target.ts";
import { EventRoom } from "../../engine/delivery/event-room.ts";
import { TargetRegistry } from "../../engine/delivery/targets.ts";
import { EventSourceMappings } from "../../engine/event-source-mappings/event-source-mappings.ts";
import { FakeFunctions, FakeQueues, testDeps } from "../../engine/event-source-mappings/testing.ts";
import { FunctionConcurrency, type Provisioning } from "../../engine/functions/concurrency.ts";
import { Functions } from "../../engine/functions/functions.ts";
import { FunctionPolicies } from "../../engine/functions/policies.ts";
import { FunctionUrls } from "../../engine/functions/urls.ts";
import { FunctionVersions } from "../../engine/functions/versions.ts";
import { createAwsFront } from "./front.ts";
import type { AwsService } from "./service.ts";
import { lambdaService } from "./services/lambda/service.ts";
import { stsService } from "./services/sts.ts";
import { signHeaders } from "./sigv4/sign.ts";

export const testAccount = "123456789012";
export const testRegion = "us-east-1";
export const testRole = `arn:aws:iam::${testAccount}:role/lambda`;
export const testKeys = {
	accessKeyId: "AKIATESTTESTTESTTEST",
	secretAccessKey: "test-secret-of-forty-characters-or-so",
};
export const testToken = "test-bearer-token";
const principal = {
	accessKeyId: testKeys.accessKeyId,
	arn: `arn:aws:iam::${testAccount}:root`,
	userId: testAccount,
	accountId: testAccount,
};

export interface TestFront extends AsyncDisposable {
	url: string;
	functions: Functions;
	versions: FunctionVersions;
	policies: FunctionPolicies;
	concurrency: FunctionConcurrency;
	urls: FunctionUrls;
	/** Of asynchronous events, which run as others do. */
	log: FakeMessageLog;
	asyncInvocations: AsyncInvocations;
	/** Functions; tests add others. */
	targets: TargetRegistry;
	/** What the last invocations carried. */
	invocations: { functionName: string; request: InvocationRequest }[];
	/** Replaces what a function answers. */
	answer: (request: InvocationRequest) => Partial<InvocationResult> | Promise<Partial<InvocationResult>>;
}

export interface TestFrontOptions {
	services?: AwsService[];
	clock?: Clock;
	log?: Log;
	maxBufferedBytes?: number;
}

/** Of an account that nobody has raised. */
const accountConcurrency = 1000;

export async function startTestFront(options: TestFrontOptions = {}): Promise<TestFront> {
	const functions = await openFunctions();
	const engine = belongings(functions, () => new URL(test.url).host);
	const invocations: TestFront["invocations"] = [];
	const dispatcher = {
		async invoke(functionName: string, request: InvocationRequest): Promise<InvocationResult> {
			const { version } = functions.revision(functionName, request.qualifier);
			invocations.push({ functionName, request });
			const answer = await test.answer(request);
			return {
				payload: Buffer.from("null"),
				functionError: undefined,
				executedVersion: version,
				logTail: request.tail ? Buffer.from(`START RequestId: ${request.requestId} Version: ${version}\n`) : undefined,
				coldStart: undefined,
				...answer,
			};
		},
	};
	const targets = new TargetRegistry([]);
	const log = new FakeMessageLog({ clock: systemClock });
	const asyncInvocations = await openAsyncInvocations({ functions, log, targets, invoke: dispatcher.invoke });
	const eventSourceMappings = await EventSourceMappings.open(
		testDeps({ clock: systemClock, log, queues: new FakeQueues(log), functions: new FakeFunctions(() => null) }),
	);
	const test: TestFront = {
		url: "",
		functions,
		...engine,
		log,
		targets,
		asyncInvocations,
		invocations,
		answer: (request) => ({ payload: request.payload }),
		async [Symbol.asyncDispose]() {
			server.closeAllConnections();
			server.close();
			await eventSourceMappings[Symbol.asyncDispose]();
			await test.asyncInvocations[Symbol.asyncDispose]();
			test.log[Symbol.dispose]();
			await functions.settled();
		},
	};
	const deps = { functions, ...engine, dispatcher, asyncInvocations, eventSourceMappings, targets, accountConcurrency };
	const front = createAwsFront({
		services: options.services ?? [lambdaService(deps), stsService()],
		credentials: (id) =>
			id === testKeys.accessKeyId ? { secretAccessKey: testKeys.secretAccessKey, principal } : undefined,
		authenticateBearer: (token) => (token === testToken ? principal : undefined),
		clock: options.clock ?? systemClock,
		ids: randomIds,
		region: testRegion,
		accountId: testAccount,
		log: options.log ?? silentLog,
		...(options.maxBufferedBytes !== undefined && { limits: { maxBufferedBytes: options.maxBufferedBytes } }),
	});
	const server = createServer((request, response) => {
		void front.handle(request, response);
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	test.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	return test;
}

async function openAsyncInvocations(parts: {
	functions: Functions;
	log: FakeMessageLog;
	targets: TargetRegistry;
	invoke: (name: string, request: InvocationRequest) => Promise<InvocationResult>;
}): Promise<AsyncInvocations> {
	const { functions, log, targets, invoke } = parts;
	const machine = { cpu: unknownCpu, cpus: 2, starting: () => 0 };
	const room = new EventRoom({ clock: systemClock, ...machine, maxTotal: accountConcurrency });
	const invocations = await AsyncInvocations.open({
		store: new FakeResourceStore(),
		log,
		functions: functions.records,
		resolve: (name, qualifier) => functions.revision(name, qualifier),
		invoke,
		reservedConcurrency: (name) => functions.records.find(name)?.reservedConcurrency,
		targets,
		clock: systemClock,
		ids: randomIds,
		logger: silentLog,
		room,
	});
	targets.add(new FunctionTarget(invocations, { region: testRegion, accountId: testAccount }));
	invocations.start();
	return invocations;
}

/** What belongs to functions. Provisioned sandboxes stand after a moment. */
function belongings(functions: Functions, host: () => string) {
	const { records } = functions;
	const dependencies = { records, ids: randomIds, clock: systemClock };
	const concurrency = new FunctionConcurrency({
		...dependencies,
		serving: (name, version) => functions.serving(name, version),
		provisioning: fakeProvisioning(),
		accountConcurrency,
	});
	concurrency.restore();
	return {
		versions: new FunctionVersions(dependencies),
		policies: new FunctionPolicies(dependencies),
		concurrency,
		urls: new FunctionUrls({
			...dependencies,
			region: testRegion,
			origin: () => `http://${host().replace("127.0.0.1", "localhost")}`,
		}),
	};
}

function fakeProvisioning(): Provisioning {
	const counts = new Map<string, { count: number; readyMs: number }>();
	return {
		provision({ name, version }, count) {
			if (count === 0) counts.delete(`${name}:${version}`);
			else counts.set(`${name}:${version}`, { count, readyMs: systemClock.now() + 50 });
		},
		provisionedState(name, version) {
			const state = counts.get(`${name}:${version}`);
			if (!state) return undefined;
			const isReady = systemClock.now() >= state.readyMs;
			const count = isReady ? state.count : 0;
			return { allocated: count, available: count, status: isReady ? "READY" : "IN_PROGRESS", reason: undefined };
		},
	};
}

function openFunctions(): Promise<Functions> {
	const digest = `sha256:${"ab".repeat(32)}` as const;
	return Functions.open({
		store: new FakeFunctionStore(),
		images: {
			async resolve(imageUri, architecture) {
				if (imageUri.includes("missing"))
					throw new SlipwayError(
						"INVALID_IMAGE",
						`Source image ${imageUri} does not exist. Provide a valid source image.`,
					);
				const image = {
					diffIds: [digest],
					entrypoint: ["/main"],
					cmd: [],
					env: {},
					workingDir: "/",
					user: "",
					architecture,
					size: 1000,
				};
				return { resolvedImageUri: `${imageUri.replace(/:[^:/]*$/, "")}@${digest}`, manifestDigest: digest, image };
			},
			async prepare(imageUri) {
				await systemClock.sleep(imageUri.includes("slow") ? 500 : 20);
				if (imageUri.includes("broken")) throw new SlipwayError("INVALID_IMAGE", "A layer of the image is no archive");
			},
		},
		clock: systemClock,
		ids: randomIds,
		log: silentLog,
		region: testRegion,
		accountId: testAccount,
		onRevisionChange() {},
		onActive() {},
	});
}

export interface RawAnswer {
	status: number;
	headers: Headers;
	text: string;
}

export interface RawOptions {
	body?: Uint8Array | string;
	headers?: Record<string, string>;
	service?: string;
	region?: string;
	nowMs?: number;
	payloadHash?: string;
	/** Changes the signed headers before they are sent. */
	tamper?: (headers: Record<string, string>) => void;
}

/** A signed request without an SDK around it, to see the bytes of the answer. */
export async function rawRequest(
	front: TestFront,
	method: string,
	url: string,
	options: RawOptions = {},
): Promise<RawAnswer> {
	const headers = signHeaders({
		method,
		url,
		headers: { host: new URL(front.url).host, ...options.headers },
		...(options.body !== undefined && { body: options.body }),
		...testKeys,
		region: options.region ?? testRegion,
		service: options.service ?? "lambda",
		nowMs: options.nowMs ?? Date.now(),
		...(options.payloadHash !== undefined && { payloadHash: options.payloadHash }),
	});
	options.tamper?.(headers);
	delete headers.host;
	const response = await fetch(front.url + url, { method, headers, body: (options.body as string) ?? null });
	return { status: response.status, headers: response.headers, text: await response.text() };
}
