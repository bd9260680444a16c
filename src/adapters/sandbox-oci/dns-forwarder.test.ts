import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { Lifetime } from "../../base/lifetime.ts";
import { silentLog } from "../../base/log.ts";
import { DnsForwarder } from "./dns-forwarder.ts";

test("passes questions and answers on, by UDP and by TCP", async () => {
	await using lifetime = new Lifetime();
	const upstream = createSocket("udp4", (question, from) =>
		upstream.send(`answer to ${question}`, from.port, from.address),
	);
	await new Promise<void>((resolve) => upstream.bind(0, "127.0.0.1", resolve));
	lifetime.defer(() => upstream.close());
	const tcp = createServer((socket) => socket.once("data", (data) => socket.end(`tcp answer to ${data}`)));
	await new Promise<void>((resolve) => tcp.listen(upstream.address().port, "127.0.0.1", resolve));
	lifetime.defer(() => tcp.close());
	const forwarder = lifetime.use(
		await DnsForwarder.open({
			address: "127.0.0.1",
			port: 0,
			upstream: { host: "127.0.0.1", port: upstream.address().port },
			clock: systemClock,
			log: silentLog,
		}),
	);
	const client = createSocket("udp4");
	lifetime.defer(() => client.close());
	const answers = new Promise<string[]>((resolve) => {
		const heard: string[] = [];
		client.on("message", (answer) => {
			heard.push(String(answer));
			if (heard.length === 2) resolve(heard.sort());
		});
	});
	for (const name of ["a", "b"]) client.send(name, forwarder.port, "127.0.0.1");
	assert.deepEqual(await answers, ["answer to a", "answer to b"]);

	const socket = connect(forwarder.port, "127.0.0.1", () => socket.write("c"));
	const [answer] = await new Promise<string[]>((resolve) => socket.once("data", (data) => resolve([String(data)])));
	assert.equal(answer, "tcp answer to c");
	socket.destroy();
});
