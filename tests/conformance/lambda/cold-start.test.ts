/** What the answer to a request says of its cold start, on every front of the cloud's; and real starts, stage by stage. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { type ColdStart, serverTiming } from "../../../src/core/invocation/cold-start.ts";
import type { InvocationRequest } from "../../../src/core/invocation/invocation.ts";
import {
	call,
	type InvokeFront,
	type RawAnswer,
	send,
	startInvokeFront,
} from "../../../src/front/testing/invoke-front.ts";
import { clause } from "./clause.ts";
import { skip, useSandboxes } from "./sandbox.ts";

const recorded =
	"https://github.com/localstack/localstack/blob/main/tests/aws/services/lambda_/test_lambda.snapshot.json";
const environment = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html";
const invokePath = "/2015-03-31/functions/f/invocations";
const streamPath = "/2021-11-15/functions/f/response-streaming-invocations";

const coldStart: ColdStart = {
	arrivedMs: 0,
	spare: true,
	steps: [
		{ stage: "queue", ms: 0.0312 },
		{ stage: "sandbox", ms: 0 },
		{ stage: "process", ms: 12.3456 },
		{ stage: "init", ms: 300 },
		{ stage: "sandbox", ms: 2 },
		{ stage: "process", ms: 10 },
		{ stage: "init", ms: 100.5 },
		{ stage: "first-poll", ms: 0.0518 },
	],
};
const header =
	"queue;dur=0.031, sandbox;dur=2.000;desc=spare, process;dur=22.346, init;dur=400.500, first-poll;dur=0.052";

const streams =
	(cold: ColdStart | undefined) =>
	async ({ stream }: InvocationRequest) => {
		assert(stream, "the front offers to stream");
		stream({ contentType: "text/plain", executedVersion: "$LATEST", coldStart: cold }).end("streamed");
		return { coldStart: cold };
	};

/** Each way to invoke, with an answer that had the cold start, or none. */
const ways: Record<string, (front: InvokeFront, cold: ColdStart | undefined) => Promise<RawAnswer>> = {
	async Invoke(front, cold) {
		front.answer = () => ({ coldStart: cold });
		return send(front, "POST", invokePath, { signed: true });
	},
	async InvokeWithResponseStream(front, cold) {
		front.answer = streams(cold);
		return send(front, "POST", streamPath, { signed: true });
	},
	async "InvokeWithResponseStream of a function that does not stream"(front, cold) {
		front.answer = () => ({ payload: Buffer.from("1"), coldStart: cold });
		return send(front, "POST", streamPath, { signed: true });
	},
	async "a function URL"(front, cold) {
		front.answer = () => ({ coldStart: cold });
		return call(front, "GET", "/");
	},
	async "a function URL that streams"(front, cold) {
		front.functionUrl.invokeMode = "RESPONSE_STREAM";
		front.answer = streams(cold);
		return call(front, "GET", "/");
	},
	async "a function URL whose function fails"(front, cold) {
		front.answer = () => ({ functionError: "Unhandled", coldStart: cold });
		return call(front, "GET", "/");
	},
};

describe("The answer", () => {
	clause(
		{
			area: "Invoke",
			says: "An answer says nothing of a cold start",
			source: recorded,
			differs:
				"The header Server-Timing has the stages of a cold start on every answer that had one, of Invoke, InvokeWithResponseStream and function URLs, and is not there on others",
		},
		async () => {
			assert.equal(serverTiming(coldStart), header);
			for (const [way, request] of Object.entries(ways)) {
				await using front = await startInvokeFront();
				assert.equal((await request(front, coldStart)).headers["server-timing"], header, way);
				assert.equal((await request(front, undefined)).headers["server-timing"], undefined, way);
			}
		},
	);

	clause(
		{
			area: "Function URLs",
			says: "A function's own Server-Timing reaches the client",
			source: "https://www.w3.org/TR/server-timing/#the-server-timing-header-field",
		},
		async () => {
			await using front = await startInvokeFront();
			const payload = JSON.stringify({ statusCode: 200, headers: { "Server-Timing": "db;dur=5" } });
			front.answer = () => ({ payload: Buffer.from(payload), coldStart });
			assert.equal((await call(front, "GET", "/")).headers["server-timing"], `db;dur=5, ${header}`);
		},
	);
});

const stagePattern =
	/^queue;dur=(\d+\.\d{3}), sandbox;dur=(\d+\.\d{3})(;desc=spare)?, process;dur=(\d+\.\d{3}), init;dur=(\d+\.\d{3}), first-poll;dur=(\d+\.\d{3})$/;

describe("In sandboxes", { skip }, () => {
	const on = useSandboxes();

	/** The native API's answer, whose client needs no signature. */
	async function invoke(name: string, event: object) {
		const { url, credentials } = on.daemon;
		const began = performance.now();
		const answer = await fetch(`${url}/_slipway/functions/${name}/invocations?tail=true`, {
			method: "POST",
			body: JSON.stringify(event),
			headers: { authorization: `Bearer ${credentials.token}` },
		});
		const tookMs = performance.now() - began;
		const stages = stagePattern.exec(answer.headers.get("server-timing") ?? "");
		const tail = Buffer.from(answer.headers.get("slipway-log-tail") ?? "", "base64").toString();
		const [, queue, sandbox, spare, process, init, firstPoll] = stages ?? [];
		const ms = [queue, sandbox, process, init, firstPoll].map(Number);
		return { stages, ms, spare: spare !== undefined, total: ms.reduce((sum, each) => sum + each, 0), tookMs, tail };
	}

	clause(
		{
			area: "Execution environment",
			says: "The first event of an environment waits for its start, the next one finds it warm",
			source: environment,
		},
		async () => {
			await on.create("stages");
			const cold = await invoke("stages", { do: "echo" });
			assert.ok(cold.stages, "the first event has its stages");
			assert.ok(cold.total > 0 && cold.total < cold.tookMs, `${cold.total} of ${cold.tookMs} ms`);
			const [, , process = 0, init = 0] = cold.ms;
			assert.ok(process > 0 && init > 0, cold.stages[0]);
			const report = cold.tail.split("\n").find((line) => line.startsWith("REPORT")) ?? "";
			assert.ok(report.includes(`\tCold Start: ${cold.stages[0]}\t`), "the REPORT line says the same");
			const shownMs = Number(/Init Duration: (\d+\.\d\d) ms/.exec(report)?.[1]);
			assert.ok(
				Math.abs(shownMs - (process + init)) < 1,
				`Init Duration ${shownMs} is process and init: ${process} + ${init}`,
			);
			const warm = await invoke("stages", { do: "echo" });
			assert.equal(warm.stages, null);
			assert.doesNotMatch(warm.tail, /Cold Start/);
		},
		{ skip },
	);

	clause(
		{
			area: "Execution environment",
			says: "After a crash the next invocation starts the processes again",
			source: environment,
		},
		async () => {
			await on.create("stages-again");
			await invoke("stages-again", { do: "echo" });
			const crashed = await invoke("stages-again", { do: "exit", code: 3 });
			assert.equal(crashed.stages, null, "the event found the sandbox warm");
			const again = await invoke("stages-again", { do: "echo" });
			const [, , process = 0, init = 0] = again.ms;
			assert.ok(again.stages && process > 0 && init > 0, "the event after it waited for a start");
			assert.match(again.tail, /REPORT .*\tCold Start: /);
			assert.doesNotMatch(again.tail, /Init Duration/);
		},
		{ skip },
	);
});
