import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { jsonRequest, queryRequest, signedPost, startTestSqs, type TestSqs, testSqsAccount } from "./test-sqs.ts";

let sqs: TestSqs;
let path: string;

before(async () => {
	sqs = await startTestSqs();
	await sqs.queues.create("q");
	path = `/${testSqsAccount}/q`;
});

after(async () => {
	await sqs[Symbol.asyncDispose]();
});

/** The text of each element of that name. */
function texts(xml: string, name: string): string[] {
	return [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, "g"))].map(([, text]) => text ?? "");
}

describe("SQS through the query protocol", () => {
	it("creates a queue with attributes and tags, and answers its URL", async () => {
		const { status, text, headers } = await queryRequest(sqs, {
			Action: "CreateQueue",
			QueueName: "made",
			"Attribute.1.Name": "VisibilityTimeout",
			"Attribute.1.Value": "7",
			"Attribute.2.Name": "DelaySeconds",
			"Attribute.2.Value": "1",
			"Tag.1.Key": "team",
			"Tag.1.Value": "a",
		});
		assert.equal(status, 200, text);
		assert.match(headers.get("content-type") ?? "", /^text\/xml/);
		assert.match(
			text,
			/^<CreateQueueResponse xmlns="http:\/\/queue.amazonaws.com\/doc\/2012-11-05\/"><CreateQueueResult>/,
		);
		assert.deepEqual(texts(text, "QueueUrl"), [`${sqs.url}/${testSqsAccount}/made`]);
		const { settings, tags } = sqs.queues.get("made");
		assert.deepEqual([settings.visibilityTimeoutS, settings.delayS, tags], [7, 1, { team: "a" }]);
	});

	it("takes the queue from the path, or from the form", async () => {
		const attribute = {
			"MessageAttribute.1.Name": "k",
			"MessageAttribute.1.Value.DataType": "String",
			"MessageAttribute.1.Value.StringValue": "v",
		};
		const sent = await queryRequest(sqs, { Action: "SendMessage", MessageBody: "<a> & é", ...attribute }, path);
		assert.equal(sent.status, 200, sent.text);
		const [digest] = texts(sent.text, "MD5OfMessageAttributes");
		const received = await queryRequest(sqs, {
			Action: "ReceiveMessage",
			QueueUrl: sqs.url + path,
			"AttributeName.1": "SenderId",
			"MessageAttributeName.1": "All",
		});
		assert.match(received.text, /<Body>&lt;a&gt; &amp; é<\/Body>/);
		assert.match(received.text, /<Attribute><Name>SenderId<\/Name><Value>123456789012<\/Value><\/Attribute>/);
		assert.match(
			received.text,
			/<MessageAttribute><Name>k<\/Name><Value><DataType>String<\/DataType><StringValue>v<\/StringValue><\/Value><\/MessageAttribute>|<MessageAttribute><Name>k<\/Name><Value><StringValue>v<\/StringValue><DataType>String<\/DataType><\/Value><\/MessageAttribute>/,
		);
		assert.deepEqual(texts(received.text, "MD5OfMessageAttributes"), [digest]);
		const [ReceiptHandle = ""] = texts(received.text, "ReceiptHandle");
		const deleted = await queryRequest(sqs, { Action: "DeleteMessage", ReceiptHandle }, path);
		assert.match(deleted.text, /^<DeleteMessageResponse [^>]*><ResponseMetadata>/);
		assert.equal((await sqs.queues.counts("q")).inFlight, 0);
	});

	it("reads and answers batches as flattened lists", async () => {
		const entry = (n: number, id: string, body: string) => ({
			[`SendMessageBatchRequestEntry.${n}.Id`]: id,
			[`SendMessageBatchRequestEntry.${n}.MessageBody`]: body,
		});
		const parameters = { Action: "SendMessageBatch", ...entry(1, "a", "1"), ...entry(2, "b", "\u0001") };
		const { status, text } = await queryRequest(sqs, parameters, path);
		assert.equal(status, 200, text);
		assert.match(text, /<SendMessageBatchResultEntry><Id>a<\/Id>/);
		assert.match(
			text,
			/<BatchResultErrorEntry><Id>b<\/Id><SenderFault>true<\/SenderFault><Code>InvalidMessageContents</,
		);
		const empty = await queryRequest(sqs, { Action: "SendMessageBatch" }, path);
		assert.equal(empty.status, 400);
		await sqs.queues.purge("q");
	});

	it("names errors by the older codes", async () => {
		const none = await queryRequest(sqs, { Action: "SendMessage", MessageBody: "x" }, `/${testSqsAccount}/none`);
		assert.equal(none.status, 400);
		assert.deepEqual(texts(none.text, "Code"), ["AWS.SimpleQueueService.NonExistentQueue"]);
		assert.deepEqual(texts(none.text, "Type"), ["Sender"]);
		const handle = await queryRequest(sqs, { Action: "DeleteMessage", ReceiptHandle: "x" }, path);
		assert.deepEqual([handle.status, ...texts(handle.text, "Code")], [404, "ReceiptHandleIsInvalid"]);
		const action = await queryRequest(sqs, { Action: "Nothing" }, path);
		assert.deepEqual([action.status, ...texts(action.text, "Code")], [400, "InvalidAction"]);
		const missing = await queryRequest(sqs, { Action: "GetQueueUrl" });
		assert.deepEqual([missing.status, ...texts(missing.text, "Code")], [400, "MissingParameter"]);
		const number = await queryRequest(sqs, { Action: "ReceiveMessage", MaxNumberOfMessages: "many" }, path);
		assert.deepEqual([number.status, ...texts(number.text, "Code")], [400, "MalformedInput"]);
	});

	it("reads forms with thousands of names", async () => {
		const parameters: Record<string, string> = { Action: "SendMessageBatch" };
		for (let i = 0; i < 9900; i++) {
			const entry = `SendMessageBatchRequestEntry.${1 + (i % 900)}`;
			parameters[`${entry}.MessageAttribute.${1 + Math.floor(i / 900)}.Value.StringListValue.1`] = "x";
		}
		const { status, text } = await queryRequest(sqs, parameters, path);
		assert.deepEqual([status, ...texts(text, "Code")], [400, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"]);
	});

	it("refuses what is not signed or not signed by a known key", async () => {
		const body = "Action=ListQueues&Version=2012-11-05";
		const headers = { "content-type": "application/x-www-form-urlencoded" };
		const unsigned = await fetch(sqs.url + path, { method: "POST", headers, body });
		assert.equal(unsigned.status, 403);
		assert.match(await unsigned.text(), /<Code>MissingAuthenticationToken</);
	});
});

describe("SQS through the JSON protocol", () => {
	it("names errors by shape, and by the older code in a header", async () => {
		const body = JSON.stringify({ QueueUrl: `${sqs.url}/${testSqsAccount}/none`, MessageBody: "x" });
		const none = await jsonRequest(sqs, "SendMessage", body);
		assert.equal(none.status, 400);
		assert.equal(none.headers.get("content-type"), "application/x-amz-json-1.0");
		assert.equal(none.headers.get("x-amzn-query-error"), "AWS.SimpleQueueService.NonExistentQueue;Sender");
		assert.deepEqual(JSON.parse(none.text), {
			__type: "com.amazonaws.sqs#QueueDoesNotExist",
			message: "The specified queue does not exist.",
		});
		const value = await jsonRequest(sqs, "ReceiveMessage", JSON.stringify({ QueueUrl: path, MaxNumberOfMessages: 0 }));
		assert.equal(value.headers.get("x-amzn-query-error"), "InvalidParameterValue;Sender");
		assert.match(value.text, /com\.amazon\.coral\.service#InvalidParameterValueException/);
	});

	it("takes a queue's path and its name for its URL, and no other address", async () => {
		for (const QueueUrl of [path, "q", `https://sqs.us-east-1.amazonaws.com${path}`, `${sqs.url}${path}/`]) {
			const { status, text } = await jsonRequest(sqs, "GetQueueAttributes", JSON.stringify({ QueueUrl }));
			assert.equal(status, 200, `${QueueUrl}: ${text}`);
		}
		for (const QueueUrl of ["http://", "/q", "a/b/c", `${path}/x`, "\u0000"]) {
			const { status, text } = await jsonRequest(sqs, "GetQueueAttributes", JSON.stringify({ QueueUrl }));
			assert.equal(status, 404, `${QueueUrl}: ${text}`);
			assert.match(text, /InvalidAddress/);
		}
	});

	it("keeps a trace header that says through which functions the event has come", async () => {
		const body = JSON.stringify({ QueueUrl: path, MessageBody: "hop" });
		const headers = { "content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.SendMessage" };
		const trace = "Root=1-65535555-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=0;Lineage=1:fea1:3";
		await signedPost(sqs, "/", body, { ...headers, "x-amzn-trace-id": trace });
		await signedPost(sqs, "/", body, headers);
		const messages = await sqs.queues.receive("q", { max: 10 });
		assert.deepEqual(
			messages.map(({ traceHeader }) => traceHeader),
			[trace, undefined],
		);
	});
});

describe("Whatever is sent to SQS", () => {
	const pieces = [
		...["{}", "[]", "null", '"', '{"QueueUrl":1}', '{"QueueUrl":null}', '{"QueueUrl":[]}', "\ufeff", "", "{", "0"],
		...["-1", "1e400", "1.5", '"x"', "true", '{"a":{}}'].flatMap((value) =>
			["MaxNumberOfMessages", "VisibilityTimeout", "WaitTimeSeconds", "DelaySeconds", "Entries", "MessageBody"].map(
				(name) => `{"QueueUrl":"q","MessageBody":"b","ReceiptHandle":"h","${name}":${value}}`,
			),
		),
		...["String", "Number", "Binary", "", "x", "String.", "__proto__"].map(
			(type) =>
				`{"QueueUrl":"q","MessageBody":"b","MessageAttributes":{"__proto__":{"DataType":"${type}","StringValue":"1e999"}}}`,
		),
		'{"QueueUrl":"q","MessageBody":"\\ud800"}',
		'{"QueueUrl":"q","ReceiptHandle":"AAAA","VisibilityTimeout":0}',
		'{"QueueName":"__proto__","Attributes":{"__proto__":"1","constructor":"2"}}',
		'{"QueueName":"r","Attributes":{"RedrivePolicy":"[]"}}',
		'{"QueueName":"r","Attributes":{"RedriveAllowPolicy":"{\\"redrivePermission\\":\\"byQueue\\",\\"sourceQueueArns\\":[1]}"}}',
		'{"QueueUrl":"q","Entries":[null,{}]}',
		'{"QueueUrl":"q","Entries":[{"Id":"a"}]}',
		'{"SourceArn":"arn","TaskHandle":"e30="}',
	];
	const operations = ["SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"];
	const others = ["ChangeMessageVisibility", "CreateQueue", "StartMessageMoveTask", "CancelMessageMoveTask"];

	it("is answered or refused, and never fails inside", async () => {
		for (const operation of [...operations, ...others])
			for (const body of pieces) {
				if (operation === "ReceiveMessage" && body.includes("WaitTimeSeconds")) continue;
				const { status, text } = await jsonRequest(sqs, operation, body);
				assert([200, 400, 403, 404].includes(status), `${operation} ${body}: ${status} ${text}`);
			}
	});
});

describe("SQS, asked with megabytes of next to nothing", () => {
	it("refuses forms of too many parameters, and JSON of too many values", async () => {
		const form = { "content-type": "application/x-www-form-urlencoded" };
		const many = await signedPost(sqs, path, `Action=SendMessage&Version=2012-11-05${"&".repeat(8_000_000)}`, form);
		assert.equal(many.status, 400);
		assert.match(many.text, /more than 10000 parameters/);
		const entries = `{"QueueUrl":"${path}","Entries":[${"{},".repeat(2_700_000)}{}]}`;
		const { status, text } = await jsonRequest(sqs, "SendMessageBatch", entries);
		assert.equal(status, 400);
		assert.match(text, /SerializationException.*more than 100000 values/);
	});
});

describe("Queue URLs", () => {
	it("have the scheme that the request came by, whatever clients outside use", async () => {
		await using inside = await startTestSqs(undefined, "https://slipway.example");
		await inside.queues.create("q");
		const { text } = await jsonRequest(inside, "GetQueueUrl", '{"QueueName":"q"}');
		assert.deepEqual(JSON.parse(text), { QueueUrl: `${inside.url}/${testSqsAccount}/q` });
	});
});
