/** CloudWatch Logs over a store in a temporary folder, with AWS's SDK before it. */
import assert from "node:assert/strict";
import { CloudWatchLogs } from "@aws-sdk/client-cloudwatch-logs";
import { FsLogStore } from "../../../src/adapters/logs-fs/fs-log-store.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLog } from "../../../src/base/log.ts";
import {
	startTestLogs,
	testLogsAccount,
	testLogsKeys,
	testLogsRegion,
} from "../../../src/front/aws/services/logs/test-logs.ts";

export const area = "CloudWatch Logs API";
export const reference = "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference";
export const userGuide = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs";
export const group = "/aws/lambda/f";
export const stream = "2026/11/21/[$LATEST]0123456789abcdef0123456789abcdef";
export const groupArn = `arn:aws:logs:${testLogsRegion}:${testLogsAccount}:log-group:${group}`;

export async function start() {
	const logs = await startTestLogs((root) => FsLogStore.open({ root, clock: systemClock, log: silentLog }));
	const sdk = new CloudWatchLogs({
		endpoint: logs.url,
		region: testLogsRegion,
		credentials: testLogsKeys,
		maxAttempts: 1,
		disableHostPrefix: true,
	});
	return {
		...logs,
		sdk,
		append: (messages: string[], timestamp = Date.now(), to = stream) =>
			logs.store.append(
				group,
				to,
				messages.map((message) => ({ timestamp, message })),
			),
		async [Symbol.asyncDispose]() {
			sdk.destroy();
			await logs[Symbol.asyncDispose]();
		},
	};
}

export function refused(sent: Promise<unknown>, name: string, message?: string | RegExp): Promise<void> {
	return assert.rejects(sent, (error: Error & { $metadata?: { httpStatusCode?: number } }) => {
		assert.deepEqual([error.name, error.$metadata?.httpStatusCode], [name, 400], error.message);
		if (typeof message === "string") assert.equal(error.message, message);
		else if (message) assert.match(error.message, message);
		return true;
	});
}

export const noGroup = "The specified log group does not exist.";
export const noStream = "The specified log stream does not exist.";
