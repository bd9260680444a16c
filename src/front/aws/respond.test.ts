import assert from "node:assert/strict";
import { Agent, type IncomingMessage, request } from "node:http";
import { test } from "node:test";
import { startTestFront } from "./test-front.ts";

test("A refused request without a body leaves the connection open for the next one", async () => {
	await using front = await startTestFront();
	const agent = new Agent({ keepAlive: true, maxSockets: 1 });
	const ports = new Set<number | undefined>();
	for (let round = 0; round < 3; round++) {
		const refusal = await new Promise<IncomingMessage>((resolve, reject) => {
			request(`${front.url}/2015-03-31/functions`, { agent }, resolve).on("error", reject).end();
		});
		assert.equal(refusal.statusCode, 403);
		ports.add(refusal.socket.localPort);
		for await (const _ of refusal);
	}
	agent.destroy();
	assert.equal(ports.size, 1);
});
