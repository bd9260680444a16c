/** For tests: SQS alone, on a random port, over queues with the fakes of their ports. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock } from "../../../../base/clock.ts";
import { randomIds } from "../../../../base/ids.ts";
import { silentLog } from "../../../../base/log.ts";
import { FakeMessageLog } from "../../../../core/message-log/fake-message-log.ts";
import type { MessageLog } from "../../../../core/message-log/message-log.ts";
import { FakeResourceStore } from "../../../../core/resource/fake-resource-store.ts";
import { Queues } from "../../../../engine/queues/queues.ts";
import { createAwsFront } from "../../front.ts";
import { signHeaders } from "../../sigv4/sign.ts";
import { sqsService } from "./service.ts";

export const testSqsAccount = "123456789012";
export const testSqsRegion = "us-east-1";
export const testSqsKeys = {
	accessKeyId: "AKIATESTTESTTESTTEST",
	secretAccessKey: "test-secret-of-forty-characters-or-so",
};

export interface TestSqs extends AsyncDisposable {
	url: string;
	queues: Queues;
}

export async function startTestSqs(messageLog?: MessageLog, origin = "http://localhost"): Promise<TestSqs> {
	const log = messageLog ?? new FakeMessageLog({ clock: systemClock });
	const place = { region: testSqsRegion, accountId: testSqsAccount };
	const queues = await Queues.open({
		store: new FakeResourceStore(),
		log,
		clock: systemClock,
		ids: randomIds,
		logger: silentLog,
		origin,
		...place,
	});
	const arn = `arn:aws:iam::${testSqsAccount}:root`;
	const principal = { accessKeyId: testSqsKeys.accessKeyId, arn, userId: testSqsAccount, accountId: testSqsAccount };
	const front = createAwsFront({
		services: [sqsService({ queues })],
		credentials: (id) =>
			id === testSqsKeys.accessKeyId ? { secretAccessKey: testSqsKeys.secretAccessKey, principal } : undefined,
		clock: systemClock,
		ids: randomIds,
		log: silentLog,
		...place,
	});
	const server = createServer((request, response) => void front.handle(request, response));
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	return {
		url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
		queues,
		async [Symbol.asyncDispose]() {
			server.closeAllConnections();
			server.close();
			await queues[Symbol.asyncDispose]();
			if (log instanceof FakeMessageLog) log[Symbol.dispose]();
		},
	};
}

export interface RawSqsAnswer {
	status: number;
	headers: Headers;
	text: string;
}

/** A signed request of the query protocol, as older clients send it: to "/" or to a queue's URL. */
export function queryRequest(sqs: TestSqs, parameters: Record<string, string>, path = "/"): Promise<RawSqsAnswer> {
	const body = new URLSearchParams({ Version: "2012-11-05", ...parameters }).toString();
	return signedPost(sqs, path, body, { "content-type": "application/x-www-form-urlencoded; charset=utf-8" });
}

/** A signed request of the JSON protocol with any body. */
export function jsonRequest(sqs: TestSqs, operation: string, body: string): Promise<RawSqsAnswer> {
	const headers = { "content-type": "application/x-amz-json-1.0", "x-amz-target": `AmazonSQS.${operation}` };
	return signedPost(sqs, "/", body, headers);
}

export async function signedPost(
	sqs: TestSqs,
	path: string,
	body: string,
	extra: Record<string, string>,
): Promise<RawSqsAnswer> {
	const method = "POST";
	const headers = signHeaders({
		method,
		url: path,
		headers: { host: new URL(sqs.url).host, ...extra },
		body,
		...testSqsKeys,
		region: testSqsRegion,
		service: "sqs",
		nowMs: Date.now(),
	});
	delete headers.host;
	const response = await fetch(sqs.url + path, { method, headers, body });
	return { status: response.status, headers: response.headers, text: await response.text() };
}
