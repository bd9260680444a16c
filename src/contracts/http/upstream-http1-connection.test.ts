import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { Http1Connection } from "./upstream-http1-connection.ts";

const server = `
	const { parentPort } = require("node:worker_threads");
	let connection;
	require("node:net")
		.createServer((socket) => { connection = socket; })
		.listen(0, "127.0.0.1", function () { parentPort.postMessage(this.address().port); });
	parentPort.once("message", (flag) => { connection.end(); Atomics.store(flag, 0, 1); Atomics.notify(flag, 0); });
`;

test("A connection that its container has closed is not open, before anybody has been told", async () => {
	const worker = new Worker(server, { eval: true });
	try {
		const [port] = await once(worker, "message");
		const socket = connect(port, "127.0.0.1");
		await once(socket, "connect");
		const connection = new Http1Connection(socket, () => {});
		// Its server has it only with its own next turn.
		await new Promise((resolve) => setTimeout(resolve, 50));
		assert.equal(connection.isOpen, true);
		const flag = new Int32Array(new SharedArrayBuffer(4));
		worker.postMessage(flag);
		Atomics.wait(flag, 0, 0, 2000);
		// The end goes out with that server's next turn, while ours stands still.
		const until = performance.now() + 2000;
		while (connection.isOpen && performance.now() < until);
		assert.equal(connection.isOpen, false);
		assert.equal(socket.readableEnded, false);
		connection.destroy();
		assert.equal(connection.isOpen, false);
	} finally {
		await worker.terminate();
	}
});
