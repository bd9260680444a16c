/** What the code of functions does with an AWS SDK that nobody has told anything. */
import assert from "node:assert/strict";
import { PutRuleCommand, PutTargetsCommand } from "@aws-sdk/client-eventbridge";
import type { Clause } from "./world.ts";

export const insideClauses: readonly Clause[] = [
	{
		says: "the AWS SDK in a function sends to a queue",
		run: async (w) => {
			await w.function("inside");
			const queue = await w.queue("inside");
			const { json, error } = await w.functions.invoke("inside", { do: "send", queue: "inside", value: { a: 1 } });
			assert.equal(error, undefined, JSON.stringify(json));
			const [message] = await w.take(queue, 1);
			assert.equal(message?.MessageId, json);
			assert.equal(message?.Body, '{"a":1}');
		},
	},
	{
		says: "the AWS SDK in a function puts an event on a bus",
		run: async (w) => {
			const queue = await w.queue("inside-bus");
			const EventPattern = JSON.stringify({ source: ["inside"] });
			await w.eventBridge.send(new PutRuleCommand({ Name: "inside", EventPattern }));
			await w.eventBridge.send(new PutTargetsCommand({ Rule: "inside", Targets: [{ Id: "q", Arn: queue.arn }] }));
			const event = { do: "put", source: "inside", type: "Done", detail: { n: 7 } };
			const { json, error } = await w.functions.invoke("inside", event);
			assert.equal(error, undefined, JSON.stringify(json));
			const [value] = await w.values(queue, 1);
			assert.equal(value?.id, json);
			assert.deepEqual([value?.["detail-type"], value?.detail], ["Done", { n: 7 }]);
		},
	},
	{
		says: "the AWS SDK in a function invokes another function asynchronously",
		run: async (w) => {
			const report = await w.queue("inside-report");
			await w.function("inside-other", { env: { REPORT: report.name } });
			const event = { do: "invoke", name: "inside-other", event: { do: "echo", value: 5 } };
			const { json, error } = await w.functions.invoke("inside", event);
			assert.equal(error, undefined, JSON.stringify(json));
			assert.equal(json.status, 202);
			const [seen] = await w.values(report, 1);
			assert.deepEqual(seen, { event: event.event, requestId: json.id });
		},
	},
	{
		says: "keys in a function do not create functions: AccessDeniedException says what they are for",
		run: async (w) => {
			const event = { do: "create", role: w.daemon.roleArn, image: w.image };
			const { json } = await w.functions.invoke("inside", event);
			assert.equal(json.name, "AccessDeniedException", JSON.stringify(json));
			assert.equal(json.status, 403);
			assert.match(json.message, /assumed-role\/slipway\/inside is not authorized to perform: lambda:CreateFunction/);
		},
	},
];
