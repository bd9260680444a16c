import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { VirtualClock } from "../../../tests/simulation/virtual-clock.ts";
import { createInternalServer, type InternalHosts } from "./internal-server.ts";

test("a request to what is no service's is cut when its body does not come", async () => {
	const clock = new VirtualClock();
	const begun = Promise.withResolvers<void>();
	const hosts: InternalHosts = new Map([
		[
			"aws.internal",
			async (request, response) => {
				begun.resolve();
				await text(request).then(
					(body) => response.end(body),
					() => response.destroy(),
				);
			},
		],
	]);
	const front = {
		owns: () => false,
		handle: async () => assert.fail("Not a service's"),
		upgrade: async () => assert.fail("Not an upgrade"),
	};
	const internal = createInternalServer(front, clock, hosts);
	const server = createServer((socket) => internal.accept(socket, "function/f")).listen(0, "127.0.0.1");
	await once(server, "listening");
	const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
	client.on("error", () => {});
	const closed = once(client, "close");
	client.write("POST / HTTP/1.1\r\nHost: aws.internal\r\nContent-Length: 10\r\n\r\nhalf");
	await begun.promise;
	await clock.advance(60_000);
	await closed;
	internal[Symbol.dispose]();
	server.close();
});
