/** Requests that are wrong, to a real daemon: each gets the contract's own error, and the daemon serves on unchanged. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
	GetFunctionCommand,
	InvokeCommand,
	ListFunctionsCommand,
	UpdateFunctionConfigurationCommand,
} from "@aws-sdk/client-lambda";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { signHeaders } from "../../src/front/aws/sigv4/sign.ts";
import { type LocalDaemon, startDaemon } from "../../tools/local-daemon.ts";
import { FunctionClient } from "./function-client.ts";
import { missingForFunctionImages, pushShellRuntime } from "./function-image.ts";
import { slipway } from "./slipway.ts";

const limit = 6 * 1024 * 1024;
const invocations = "/2015-03-31/functions/sound/invocations";

describe("requests that are wrong", { skip: missingForFunctionImages() ?? false }, () => {
	let daemon: LocalDaemon;
	let client: FunctionClient;

	before(async () => {
		daemon = await startDaemon();
		client = new FunctionClient(daemon);
		await client.createActive("sound", await pushShellRuntime(daemon, "shell"));
	});
	after(async () => {
		client?.[Symbol.dispose]();
		await daemon?.[Symbol.asyncDispose]();
	});

	interface Signed {
		method?: string;
		path?: string;
		body?: string | Buffer;
		nowMs?: number;
		keys?: { accessKeyId?: string; secretAccessKey?: string };
		region?: string;
		/** What is sent instead, after signing. */
		sent?: { path?: string; body?: string; headers?: Record<string, string>; method?: string };
	}

	async function signed(options: Signed) {
		const { method = "POST", path = invocations, body = "{}", nowMs = Date.now(), region = daemon.region } = options;
		const headers = signHeaders({
			method,
			url: path,
			headers: { host: daemon.registry },
			body: method === "GET" ? "" : body,
			...daemon.credentials,
			...options.keys,
			region,
			service: "lambda",
			nowMs,
		});
		const { host: _, ...rest } = headers;
		const { sent = {} } = options;
		const payload = sent.body ?? body;
		const verb = sent.method ?? method;
		const answer = await fetch(`${daemon.url}${sent.path ?? path}`, {
			method: verb,
			headers: { ...rest, ...sent.headers },
			...(verb === "GET" ? {} : { body: typeof payload === "string" ? payload : new Uint8Array(payload) }),
		});
		const answerText = await answer.text();
		return { status: answer.status, type: answer.headers.get("x-amzn-errortype")?.split(":")[0], text: answerText };
	}

	/** What a raw connection is answered, to its end. */
	function raw(request: string): Promise<string> {
		const { hostname, port } = new URL(daemon.url);
		const socket = connect(Number(port), hostname);
		let answer = "";
		socket.setEncoding("utf8").on("data", (chunk: string) => {
			answer += chunk;
		});
		socket.on("error", () => undefined); // a reset after the answer, as we were still sending
		socket.write(request);
		return new Promise((resolve) => socket.once("close", () => resolve(answer)));
	}

	test("a sound request passes the same way, so that what follows is refused for its fault", async () => {
		assert.deepEqual(await signed({ body: '{"n":1}' }), { status: 200, type: undefined, text: '{"n":1}' });
	});

	test("JSON that is none, as an event and as a request", async () => {
		for (const body of ["{", '{"a":}', "nothing", "[1,]", '{"a":"\u0001"}', Buffer.from([0x22, 0xff, 0x22])]) {
			const { status, type, text } = await signed({ body });
			assert.deepEqual([status, type], [400, "InvalidRequestContentException"], `${body}: ${text}`);
			assert.match(text, /Could not parse request body into json/);
		}
		for (const body of ["{", "[]", '"text"', '{"FunctionName":7}', `${"[".repeat(100_000)}`]) {
			const { status, type, text } = await signed({ path: "/2015-03-31/functions", body });
			assert.equal(status, 400, `${body.slice(0, 30)}: ${text}`);
			assert.match(type ?? "", /InvalidRequestContent|SerializationException|Validation|InvalidParameterValue/);
		}
	});

	test("signatures: a wrong secret, unknown keys, other bytes, another path, another verb, another region, none", async () => {
		const refusals: [string, Signed, RegExp][] = [
			["secret", { keys: { secretAccessKey: "wrong" } }, /InvalidSignatureException/],
			["key", { keys: { accessKeyId: "AKIAUNKNOWN000000000" } }, /UnrecognizedClientException/],
			["body", { sent: { body: '{"other":1}' } }, /InvalidSignatureException/],
			["path", { sent: { path: "/2015-03-31/functions/other/invocations" } }, /InvalidSignatureException/],
			["verb", { method: "GET", path: "/2015-03-31/functions/sound", sent: { method: "DELETE" } }, /InvalidSignature/],
			["header", { sent: { headers: { "X-Amz-Date": "20200101T000000Z" } } }, /InvalidSignature/],
			["region", { region: "eu-nowhere-9" }, /InvalidSignatureException/],
			["shape", { sent: { headers: { Authorization: "AWS4-HMAC-SHA256 nonsense" } } }, /IncompleteSignature/],
		];
		for (const [name, options, expected] of refusals) {
			const { status, type, text } = await signed(options);
			assert.ok(status === 403 || status === 400, `${name}: ${status} ${text}`);
			assert.match(`${type} ${text}`, expected, name);
			assert.doesNotMatch(text, new RegExp(daemon.credentials.secretAccessKey));
		}
		const none = await fetch(`${daemon.url}${invocations}`, { method: "POST", body: "{}" });
		assert.equal(none.status, 403);
		assert.match(await none.text(), /Missing Authentication Token/);
		assert.equal((await client.settled("sound")).State, "Active", "the forged DELETE did nothing");
	});

	test("a request that is too old, or of the future, is refused with both times; and so is a replay of it then", async () => {
		for (const offsetMin of [-20, 20]) {
			const { status, type, text } = await signed({ nowMs: Date.now() + offsetMin * 60_000 });
			assert.deepEqual([status, type], [403, "InvalidSignatureException"]);
			assert.match(text, offsetMin < 0 ? /Signature expired: \d{8}T\d{6}Z is now earlier than/ : /not yet current/);
		}
		const wrong = new STSClient({
			endpoint: daemon.url,
			region: daemon.region,
			credentials: { ...daemon.credentials, secretAccessKey: "wrong" },
			maxAttempts: 1,
		});
		await assert.rejects(wrong.send(new GetCallerIdentityCommand({})), { name: "SignatureDoesNotMatch" });
		wrong.destroy();
	});

	test("six megabytes pass, one byte more is refused by its size", async () => {
		const event = (bytes: number) => Buffer.from(`"${"x".repeat(bytes - 2)}"`);
		const dryRun = (Payload: Buffer) =>
			client.lambda.send(new InvokeCommand({ FunctionName: "sound", InvocationType: "DryRun", Payload }));
		assert.equal((await dryRun(event(limit))).StatusCode, 204);
		await assert.rejects(dryRun(event(limit + 1)), (error: Error & { $metadata: { httpStatusCode: number } }) => {
			assert.deepEqual([error.name, error.$metadata.httpStatusCode], ["RequestEntityTooLargeException", 413]);
			assert.match(error.message, /smaller than 6291456 bytes for the InvokeFunction operation/);
			return true;
		});
		const announced = await raw(
			`POST ${invocations} HTTP/1.1\r\nHost: ${daemon.registry}\r\nAuthorization: Bearer ${daemon.credentials.token}\r\nContent-Length: 99999999999\r\n\r\n`,
		);
		assert.match(announced, /^HTTP\/1\.1 413 /, "an announced size is not waited for");
	});

	test("names and ARNs out of pattern, or of somebody else", async () => {
		const arn = (rest: string) => `arn:aws:lambda:${rest}`;
		const { accountId } = daemon.credentials;
		const bad = [
			"bad name",
			"näme",
			"../../etc/passwd",
			"a".repeat(171),
			"name:",
			arn(`${daemon.region}:12:function:x`),
			"arn:aws:s3:::bucket",
		];
		for (const FunctionName of bad)
			await assert.rejects(client.lambda.send(new GetFunctionCommand({ FunctionName })), (error: Error) => {
				assert.match(error.name, /ValidationException|InvalidParameterValueException/, `${FunctionName}: ${error}`);
				return true;
			});
		for (const foreign of [
			arn(`eu-north-1:${accountId}:function:sound`),
			arn(`${daemon.region}:${accountId}:layer:x`),
			arn(`${daemon.region}:999999999999:function:sound`),
		])
			await assert.rejects(client.lambda.send(new GetFunctionCommand({ FunctionName: foreign })), (error: Error) => {
				assert.match(
					error.name,
					/ResourceNotFound|AccessDenied|InvalidParameterValue|Validation/,
					`${foreign}: ${error}`,
				);
				return true;
			});
		await assert.rejects(client.create("no/slash", "x"), {
			name: /ValidationException|InvalidParameterValueException/,
		});
		await assert.rejects(client.create("a".repeat(65), `${daemon.registry}/shell:v1`), /65|pattern|length/i);
		for (const change of [{ MemorySize: 127 }, { Timeout: 901 }, { Timeout: 0 }, { Role: "admin" }])
			await assert.rejects(
				client.lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName: "sound", ...change })),
				{ name: /ValidationException|InvalidParameterValueException/ },
				JSON.stringify(change),
			);
	});

	test("what is not HTTP, headers without end, two lengths, a lie about the length", async () => {
		const host = `Host: ${daemon.registry}`;
		assert.match(await raw("hello there\r\n\r\n"), /^HTTP\/1\.1 400 /);
		assert.match(await raw(`GET / HTTP/1.1\r\n${host}\r\nX: ${"x".repeat(200_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
		assert.match(
			await raw(`POST / HTTP/1.1\r\n${host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab`),
			/^HTTP\/1\.1 400 /,
		);
		assert.match(
			await raw(`POST / HTTP/1.1\r\n${host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
			/^HTTP\/1\.1 400 /,
		);
		assert.match(await raw(`GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\nAuth orization: x\r\n\r\n`), /^HTTP\/1\.1 400 /);
	});

	test("a second daemon on the folder, and a port in use, are refused in words; the first one serves on", async () => {
		const second = await slipway(daemon.home, ["up"], { env: { SLIPWAY_LISTEN: "127.0.0.1:0" } });
		assert.equal(second.code, 1);
		assert.match(second.err, new RegExp(`process ${daemon.pid}`));
		const home = await mkdtemp(join(tmpdir(), "slipway-second-"));
		const { port } = new URL(daemon.url);
		const third = await slipway(home, ["up"], { env: { SLIPWAY_LISTEN: `127.0.0.1:${port}` } });
		await rm(home, { recursive: true });
		assert.equal(third.code, 1);
		assert.match(third.err, new RegExp(`Port ${port} on 127.0.0.1 is already in use`));
		assert.equal((await fetch(`${daemon.url}/readyz`)).status, 200);
	});

	test("after all of it there is the one function, and it answers", async () => {
		const { Functions } = await client.lambda.send(new ListFunctionsCommand({}));
		assert.deepEqual(
			Functions?.map(({ FunctionName }) => FunctionName),
			["sound"],
		);
		await client.idle();
		assert.deepEqual((await client.invoke("sound", { n: 2 })).json, { n: 2 });
	});
});
