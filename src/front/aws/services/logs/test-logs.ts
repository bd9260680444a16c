/** For tests: CloudWatch Logs alone, on a random port, over a store in a temporary folder. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../../../base/clock.ts";
import { randomIds } from "../../../../base/ids.ts";
import { silentLog } from "../../../../base/log.ts";
import type { LogStore } from "../../../../core/log/log-store.ts";
import { createAwsFront } from "../../front.ts";
import { logsService } from "./service.ts";

export const testLogsAccount = "123456789012";
export const testLogsRegion = "us-east-1";
export const testLogsKeys = {
	accessKeyId: "AKIATESTTESTTESTTEST",
	secretAccessKey: "test-secret-of-forty-characters-or-so",
};

export interface TestLogs extends AsyncDisposable {
	url: string;
	store: LogStore;
}

/** `open` makes the store, in a folder that is deleted in the end. */
export async function startTestLogs(
	open: (root: string) => Promise<LogStore>,
	clock: Clock = systemClock,
): Promise<TestLogs> {
	const root = await mkdtemp(join(tmpdir(), "slipway-logs-"));
	const store = await open(root);
	const principal = {
		accessKeyId: testLogsKeys.accessKeyId,
		arn: `arn:aws:iam::${testLogsAccount}:root`,
		userId: testLogsAccount,
		accountId: testLogsAccount,
	};
	const front = createAwsFront({
		services: [logsService({ logs: store, clock, ids: randomIds })],
		credentials: (id) =>
			id === testLogsKeys.accessKeyId ? { secretAccessKey: testLogsKeys.secretAccessKey, principal } : undefined,
		clock: systemClock,
		ids: randomIds,
		region: testLogsRegion,
		accountId: testLogsAccount,
		log: silentLog,
	});
	const server = createServer((request, response) => void front.handle(request, response));
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	return {
		url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
		store,
		async [Symbol.asyncDispose]() {
			server.closeAllConnections();
			server.close();
			await store[Symbol.asyncDispose]();
			await rm(root, { recursive: true });
		},
	};
}
