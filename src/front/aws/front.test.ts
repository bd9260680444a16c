import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { describe, it } from "node:test";
import type * as ecrSdk from "@aws-sdk/client-ecr";
import { DescribeRepositoriesCommand, ECRClient, ListImagesCommand } from "@aws-sdk/client-ecr";
import { LambdaClient, ListFunctionsCommand, PutResourcePolicyCommand } from "@aws-sdk/client-lambda";
import { GetCallerIdentityCommand, GetSessionTokenCommand, STSClient } from "@aws-sdk/client-sts";
import { SlipwayError } from "../../base/error.ts";
import { type Log, silentLog } from "../../base/log.ts";
import { type AwsService, handlersOf } from "./service.ts";
import { stsService } from "./services/sts.ts";
import {
	rawRequest,
	startTestFront,
	type TestFront,
	testAccount,
	testKeys,
	testRegion,
	testToken,
} from "./test-front.ts";

const functionsPath = "/2015-03-31/functions";

describe("AWS front: services and protocols", () => {
	it("serves the query protocol: sts", async () => {
		await using front = await startTestFront();
		const client = new STSClient(clientConfig(front));
		const identity = await client.send(new GetCallerIdentityCommand({}));
		assert.deepEqual(
			[identity.Account, identity.Arn, identity.UserId],
			[testAccount, `arn:aws:iam::${testAccount}:root`, testAccount],
		);
		assert.match(identity.$metadata.requestId ?? "", /^[0-9a-f-]{36}$/);
		await assert.rejects(client.send(new GetSessionTokenCommand({})), {
			name: "NotImplementedException",
			message: "Slipway does not implement sts:GetSessionToken yet",
		});
	});

	it("answers sts in XML, to the letter", async () => {
		await using front = await startTestFront();
		const form = { headers: { "content-type": "application/x-www-form-urlencoded" }, service: "sts" };
		const good = await rawRequest(front, "POST", "/", { ...form, body: "Action=GetCallerIdentity&Version=2011-06-15" });
		assert.equal(good.headers.get("content-type"), "text/xml");
		assert.equal(
			good.text,
			`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><UserId>${testAccount}</UserId><Account>${testAccount}</Account><Arn>arn:aws:iam::${testAccount}:root</Arn></GetCallerIdentityResult><ResponseMetadata><RequestId>${good.headers.get("x-amzn-requestid")}</RequestId></ResponseMetadata></GetCallerIdentityResponse>`,
		);
		const unknown = await rawRequest(front, "POST", "/", {
			...form,
			body: "Action=Drop%3Ctable%3E&Version=2011-06-15",
		});
		assert.equal(unknown.status, 400);
		assert.match(unknown.text, /<ErrorResponse .*<Type>Sender<\/Type><Code>InvalidAction<\/Code>/);
		const forged = await rawRequest(front, "POST", "/", {
			...form,
			body: "Action=GetCallerIdentity&Version=2011-06-15",
			tamper: flipSignature,
		});
		assert.equal(forged.status, 403);
		assert.match(forged.text, /<Code>SignatureDoesNotMatch<\/Code>/);
	});

	it("takes a presigned GET, as the Kubernetes authenticators send it", async () => {
		await using front = await startTestFront();
		const answer = await rawRequest(front, "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", { service: "sts" });
		assert.equal(answer.status, 200);
	});

	it("serves aws-json: ecr", async () => {
		await using front = await startTestFront({ services: [ecrOfTest] });
		const client = new ECRClient(clientConfig(front));
		const { repositories } = await client.send(new DescribeRepositoriesCommand({ repositoryNames: ["app"] }));
		assert.deepEqual(repositories?.[0]?.createdAt, new Date(1_700_000_000_500));
		assert.equal(repositories?.[0]?.repositoryName, "app");
		await assert.rejects(
			client.send(new ListImagesCommand({ repositoryName: "none" })),
			(error: ecrSdk.RepositoryNotFoundException) => {
				assert.equal(error.name, "RepositoryNotFoundException");
				assert.equal(error.message, "No such repository 'none'");
				assert.equal(error.$metadata.httpStatusCode, 400);
				return true;
			},
		);
		const target = { "x-amz-target": "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories" };
		const raw = await rawRequest(front, "POST", "/", { service: "ecr", headers: target, body: '{"maxResults":"ten"}' });
		assert.deepEqual(
			[raw.status, JSON.parse(raw.text)],
			[400, { __type: "SerializationException", message: "'maxResults' must be a number, not a value of type string" }],
		);
		const missing = await rawRequest(front, "POST", "/", {
			service: "ecr",
			headers: { "x-amz-target": "AmazonEC2ContainerRegistry_V20150921.Nothing" },
			body: "{}",
		});
		assert.deepEqual([missing.status, JSON.parse(missing.text).__type], [404, "UnknownOperationException"]);
	});

	it("names what it does not implement, once and without retries", async () => {
		await using front = await startTestFront();
		const client = new LambdaClient(clientConfig(front));
		const command = new PutResourcePolicyCommand({
			ResourceArn: `arn:aws:lambda:${testRegion}:${testAccount}:function:f`,
			Policy: "{}",
		});
		await assert.rejects(
			client.send(command),
			(error: Error & { $metadata: { attempts?: number; httpStatusCode?: number } }) => {
				assert.equal(error.name, "NotImplementedException");
				assert.equal(error.message, "Slipway does not implement lambda:PutResourcePolicy yet");
				assert.deepEqual([error.$metadata.attempts, error.$metadata.httpStatusCode], [1, 501]);
				return true;
			},
		);
		const other = await rawRequest(front, "POST", "/", {
			service: "dynamodb",
			headers: { "x-amz-target": "DynamoDB_20120810.ListTables" },
			body: "{}",
		});
		assert.deepEqual(
			[other.status, JSON.parse(other.text).message],
			[501, "Slipway does not implement the service 'dynamodb' yet"],
		);
		const s3 = await rawRequest(front, "GET", "/bucket/key", { service: "s3" });
		assert.equal(s3.status, 501);
		assert.match(
			s3.text,
			/<Code>NotImplementedException<\/Code><Message>Slipway does not implement the service &apos;s3&apos; yet/,
		);
	});
});

describe("AWS front: who may", () => {
	it("refuses no signature, a wrong one, an old one, a foreign region, in the service's form", async () => {
		await using front = await startTestFront();
		const bare = await fetch(`${front.url}${functionsPath}`);
		assert.equal(bare.status, 403);
		assert.equal(bare.headers.get("x-amzn-errortype"), "MissingAuthenticationTokenException");
		assert.match(bare.headers.get("x-amzn-requestid") ?? "", /^[0-9a-f-]{36}$/);
		await refused(rawRequest(front, "GET", functionsPath, { tamper: flipSignature }), 403, "InvalidSignatureException");
		await refused(
			rawRequest(front, "GET", functionsPath, { nowMs: Date.now() - 16 * 60_000 }),
			403,
			"InvalidSignatureException",
			/^Signature expired: /,
		);
		await refused(
			rawRequest(front, "GET", functionsPath, { nowMs: Date.now() + 16 * 60_000 }),
			403,
			"InvalidSignatureException",
			/not yet current/,
		);
		await refused(
			rawRequest(front, "GET", functionsPath, { region: "eu-west-3" }),
			403,
			"InvalidSignatureException",
			/valid region, not 'eu-west-3'/,
		);
		await refused(
			rawRequest(front, "GET", functionsPath, {
				tamper: (headers) => (headers.Authorization = "AWS4-HMAC-SHA256 nonsense"),
			}),
			403,
			"IncompleteSignatureException",
		);
		const stranger = (headers: Record<string, string>) =>
			(headers.Authorization = headers.Authorization!.replace(testKeys.accessKeyId, "AKIASTRANGER"));
		await refused(
			rawRequest(front, "GET", functionsPath, { tamper: stranger }),
			403,
			"UnrecognizedClientException",
			"The security token included in the request is invalid.",
		);
		const added = (headers: Record<string, string>) => (headers["X-Amz-Invocation-Type"] = "Event");
		await refused(
			rawRequest(front, "GET", functionsPath, { tamper: added }),
			403,
			"InvalidSignatureException",
			/not signed/,
		);
	});

	it("takes a replay within the window only", async () => {
		await using front = await startTestFront();
		const nowMs = Date.now() - 14 * 60_000;
		for (let i = 0; i < 2; i++) assert.equal((await rawRequest(front, "GET", functionsPath, { nowMs })).status, 200);
	});

	it("takes an unsigned payload that says so, and refuses a body that is not the declared one", async () => {
		await using front = await startTestFront();
		const url = "/2016-08-19/account-settings";
		assert.equal((await rawRequest(front, "GET", url, { payloadHash: "UNSIGNED-PAYLOAD" })).status, 200);
		await refused(
			rawRequest(front, "GET", url, { payloadHash: "0".repeat(64) }),
			403,
			"InvalidSignatureException",
			/X-Amz-Content-Sha256/,
		);
	});

	it("takes an aws-chunked body", async () => {
		await using front = await startTestFront();
		const body = '2\r\n{"\r\n3\r\n":1\r\n1\r\n}\r\n0\r\n\r\n';
		const headers = { "x-amz-decoded-content-length": "6", "content-encoding": "aws-chunked" };
		await createFunction(front, "f");
		const answer = await rawRequest(front, "POST", `${functionsPath}/f/invocations`, {
			body,
			headers,
			payloadHash: "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
		});
		assert.deepEqual([answer.status, answer.text], [200, '{"":1}']);
		await refused(
			rawRequest(front, "POST", `${functionsPath}/f/invocations`, {
				body: "5\r\nab",
				headers,
				payloadHash: "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
			}),
			400,
			"InvalidChunkException",
		);
	});

	it("takes the bearer token from curl, and no other", async () => {
		await using front = await startTestFront();
		await createFunction(front, "f");
		const invoke = (authorization?: string) =>
			fetch(`${front.url}${functionsPath}/f/invocations`, {
				method: "POST",
				body: '{"a":1}',
				...(authorization && { headers: { authorization } }),
			});
		const good = await invoke(`Bearer ${testToken}`);
		assert.deepEqual([good.status, await good.text()], [200, '{"a":1}']);
		assert.equal((await invoke("Bearer wrong")).status, 403);
		assert.equal((await invoke("Basic abc")).status, 403);
		assert.equal((await invoke()).status, 403);
		const lost = await fetch(`${front.url}/2015-03-31/nothing`, { headers: { authorization: `Bearer ${testToken}` } });
		assert.deepEqual([lost.status, lost.headers.get("x-amzn-errortype")], [404, "UnknownOperationException"]);
	});
});

describe("AWS front: bounds", () => {
	it("answers a body past the limit without reading it to its end, and tells it in the service's words", async () => {
		await using front = await startTestFront();
		const answer = await new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
			const url = `${functionsPath}/f/invocations`;
			const headers = { authorization: `Bearer ${testToken}`, "content-length": "1000000000" };
			const request = httpRequest(front.url + url, { method: "POST", headers }, async (response) => {
				let text = "";
				for await (const chunk of response) text += chunk;
				request.destroy();
				resolve({ status: response.statusCode, text });
			});
			request.once("error", reject);
			request.write("x");
		});
		assert.deepEqual(answer, {
			status: 413,
			text: '{"Message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}',
		});
	});

	it("stops at the limit where no length was announced, and the busy client sees the answer", async () => {
		await using front = await startTestFront();
		const { hostname, port } = new URL(front.url);
		const socket = connect(Number(port), hostname);
		const head = `POST ${functionsPath}/f/invocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${testToken}\r\nTransfer-Encoding: chunked\r\n\r\n`;
		const chunk = `40000\r\n${"1".repeat(0x40000)}\r\n`;
		socket.write(head);
		let text = "";
		let ended = false;
		socket.on("data", (data) => {
			text += data;
		});
		socket.on("end", () => {
			ended = true;
		});
		// Twelve megabytes, whatever comes back meanwhile.
		for (let i = 0; i < 48; i++) await new Promise((sent) => socket.write(chunk, sent));
		while (!ended) await new Promise((next) => setTimeout(next, 5));
		socket.destroy();
		assert.match(text, /^HTTP\/1\.1 413 .*Request must be smaller than 6291456 bytes/s);
		assert.equal((await rawRequest(front, "GET", functionsPath)).status, 200);
	});

	it("ends a connection that goes on sending after it was refused", async () => {
		await using front = await startTestFront();
		const { hostname, port } = new URL(front.url);
		const socket = connect(Number(port), hostname);
		const closed = new Promise((resolve) => socket.once("close", resolve));
		socket.on("error", () => {});
		socket.resume();
		socket.write(`POST ${functionsPath}/f/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n`);
		let sent = 0;
		const part = Buffer.alloc(1024 * 1024);
		while (!socket.destroyed && sent < 400) {
			await new Promise((next) => socket.write(part, next));
			sent++;
		}
		socket.destroy();
		await closed;
		assert.ok(sent < 400, `${sent} MiB`);
	});

	it("asks to come again when the bodies in flight are too many", async () => {
		await using front = await startTestFront({ maxBufferedBytes: 1000 });
		const answer = await rawRequest(front, "POST", `${functionsPath}/f/invocations`, {
			body: JSON.stringify("x".repeat(2000)),
		});
		assert.deepEqual(
			[answer.status, answer.headers.get("x-amzn-errortype"), answer.headers.get("retry-after")],
			[429, "TooManyRequestsException", "1"],
		);
		for (let i = 0; i < 3; i++)
			await refused(
				rawRequest(front, "POST", `${functionsPath}/f/invocations`, { body: JSON.stringify("x".repeat(900)) }),
				404,
				"ResourceNotFoundException",
			);
	});

	it("shows nothing of its own bugs, and logs them", async () => {
		const logged: unknown[] = [];
		const log: Log = { ...silentLog, error: (_message, fields) => void logged.push(fields) };
		const broken: AwsService = {
			...stsService(),
			handlers: {
				GetCallerIdentity() {
					throw new TypeError("secret detail");
				},
			},
		};
		await using front = await startTestFront({ services: [broken], log });
		const answer = await rawRequest(front, "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", { service: "sts" });
		assert.equal(answer.status, 500);
		assert.match(
			answer.text,
			/<Type>Receiver<\/Type><Code>InternalFailure<\/Code><Message>An internal error occurred</,
		);
		assert.doesNotMatch(answer.text, /secret/);
		assert.match(String((logged[0] as { error: Error }).error), /secret detail/);
	});

	it("answers seeded nonsense with an AWS error and a request id, always", async () => {
		const logged: unknown[] = [];
		await using front = await startTestFront({ log: { ...silentLog, error: (...all) => void logged.push(all) } });
		let state = 20_261_121;
		const pick = <T>(from: readonly T[]): T => {
			state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
			return from[Math.floor((state / 2 ** 32) * from.length)]!;
		};
		const names = [
			"f",
			"%00",
			"a%2Fb",
			"..",
			"arn%3Aaws%3Alambda",
			"%E2%82%AC",
			"x".repeat(300),
			"$LATEST",
			"__proto__",
		];
		const ends = ["", "/invocations", "/configuration", "/code", "/policy", "/versions", "/", "//", "/../.."];
		const queries = [
			"",
			"?Qualifier=%ff",
			"?MaxItems=-1",
			"?MaxItems=x",
			"?Marker=%00",
			"?&&=&",
			"?Qualifier=1&Qualifier=2",
		];
		const bodies = [
			"",
			"{}",
			"[",
			'{"FunctionName":{}}',
			'{"Role":null}',
			"\u0000",
			'{"Code":{"ImageUri":1}}',
			"1e999",
			'"\\ud800"',
		];
		for (let round = 0; round < 600; round++) {
			const method = pick(["GET", "POST", "PUT", "DELETE"]);
			const url = `${pick([functionsPath, "/2017-03-31/tags", "/2020-06-30/functions"])}/${pick(names)}${pick(ends)}${pick(queries)}`;
			const body = method === "GET" ? {} : { body: pick(bodies) };
			const bearer = {
				authorization: `Bearer ${testToken}`,
				"x-amz-client-context": pick(["", "x", "e30="]),
				"x-amz-invocation-type": pick(["DryRun", "Event", "\u00ff"]),
			};
			const answer = await fetch(front.url + url, { method, headers: bearer, ...body });
			const text = await answer.text();
			if (front.url + url !== answer.url) continue;
			assert.match(answer.headers.get("x-amzn-requestid") ?? "", /^[0-9a-f-]{36}$/, `${method} ${url}`);
			assert.ok(
				answer.status < 300 || (answer.status < 502 && answer.headers.get("x-amzn-errortype")),
				`${method} ${url} ${answer.status} ${text}`,
			);
			assert.notEqual(answer.status, 500, `${method} ${url} ${text}`);
		}
		assert.deepEqual(logged, []);
	});

	it("goes on when clients go away in the middle", async () => {
		await using front = await startTestFront();
		await Promise.all(
			Array.from({ length: 20 }, () => {
				const request = httpRequest(`${front.url}${functionsPath}/f/invocations`, {
					method: "POST",
					headers: { authorization: `Bearer ${testToken}`, "content-length": "1000" },
				});
				request.on("error", () => {});
				request.write("x");
				return new Promise((resolve) => setTimeout(() => resolve(request.destroy()), 20));
			}),
		);
		const client = new LambdaClient(clientConfig(front));
		assert.deepEqual((await client.send(new ListFunctionsCommand({}))).Functions, []);
	});
});

async function refused(
	answer: ReturnType<typeof rawRequest>,
	status: number,
	type: string,
	message: string | RegExp = /./,
): Promise<void> {
	const { status: got, headers, text } = await answer;
	assert.deepEqual([got, headers.get("x-amzn-errortype")], [status, type], text);
	const body = JSON.parse(text) as { message?: string; Message?: string };
	const words = body.message ?? body.Message ?? "";
	if (typeof message === "string") assert.equal(words, message);
	else assert.match(words, message);
}

function flipSignature(headers: Record<string, string>): void {
	headers.Authorization = headers.Authorization!.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
}

function clientConfig(front: TestFront) {
	return { endpoint: front.url, region: testRegion, credentials: testKeys };
}

async function createFunction(front: TestFront, name: string): Promise<void> {
	await front.functions.create({ name, role: `arn:aws:iam::${testAccount}:role/r`, imageUri: "localhost/app:1" });
	await front.functions.settled();
}

const row = { name: "ServerException", status: 500 };
const ecrOfTest: AwsService = {
	name: "ecr",
	protocol: "aws-json-1.1",
	sdkPackage: "@aws-sdk/client-ecr",
	targetPrefix: "AmazonEC2ContainerRegistry_V20150921",
	handlers: handlersOf<typeof ecrSdk>({
		DescribeRepositories: ({ repositoryNames }) => ({
			repositories: repositoryNames?.map((repositoryName) => ({
				repositoryName,
				createdAt: new Date(1_700_000_000_500),
			})),
		}),
		ListImages({ repositoryName }) {
			throw new SlipwayError("NOT_FOUND", `No such repository '${repositoryName}'`);
		},
	}),
	errors: {
		...(Object.fromEntries(
			[
				"INVALID",
				"ALREADY_EXISTS",
				"CONFLICT",
				"PRECONDITION",
				"UNAUTHENTICATED",
				"FORBIDDEN",
				"TOO_LARGE",
				"THROTTLED",
				"INVALID_IMAGE",
				"DIGEST_MISMATCH",
				"UNSUPPORTED",
				"DEADLINE",
				"EXHAUSTED",
				"UNAVAILABLE",
				"SANDBOX_FAILED",
			].map((code) => [code, row]),
		) as AwsService["errors"]),
		NOT_FOUND: { name: "RepositoryNotFoundException", status: 400 },
	},
};
