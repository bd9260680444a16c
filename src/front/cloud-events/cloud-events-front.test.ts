import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import { SlipwayError } from "../../base/error.ts";
import { randomIds } from "../../base/ids.ts";
import { silentLog } from "../../base/log.ts";
import type { BusEvent } from "../../engine/bus/types.ts";
import { cloudEventsFront } from "./cloud-events-front.ts";

const published: { bus: string; event: BusEvent }[] = [];
const front = cloudEventsFront({
	token: "secret",
	ids: randomIds,
	log: silentLog,
	publish: async (bus, events) => {
		if (bus === "gone") throw new SlipwayError("NOT_FOUND", "Event bus gone does not exist.");
		return events.map((event) => {
			if (event.detailType === "bad") return { error: { code: "MalformedDetail", message: "Detail is malformed." } };
			published.push({ bus, event });
			return { id: event.id ?? "" };
		});
	},
});
const server = createServer((request, response) => void front(request, response)).listen(0, "127.0.0.1");
await once(server, "listening");
after(() => {
	server.closeAllConnections();
	server.close();
});
const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/_slipway/cloud-events/`;

function post(
	path: string,
	headers: Record<string, string>,
	body: string | Uint8Array<ArrayBuffer> | null,
	method = "POST",
) {
	published.length = 0;
	return fetch(base + path, { method, headers: { authorization: "Bearer secret", ...headers }, body });
}

const ce = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/shop", "ce-type": "order" };
const structured = { specversion: "1.0", id: "2", source: "/shop", type: "order", subject: "o/1", data: { total: 3 } };

describe("CloudEvents over HTTP", () => {
	test("binary, structured and batched end on the bus that the path names", async () => {
		const binary = await post("default", { ...ce, "content-type": "application/json" }, '{"total":1}');
		assert.equal(binary.status, 202);
		assert.deepEqual(await binary.json(), { results: [{ id: "1" }] });
		assert.deepEqual(
			published.map(({ bus, event }) => [bus, event.source, event.detailType, event.detail]),
			[["default", "/shop", "order", '{"total":1}']],
		);
		const type = { "content-type": "application/cloudevents+json; charset=UTF-8" };
		assert.equal((await post("orders", type, JSON.stringify(structured))).status, 202);
		assert.deepEqual([published[0]?.bus, published[0]?.event.resources], ["orders", ["o/1"]]);
		const batch = { "content-type": "Application/CloudEvents-Batch+json" };
		assert.equal((await post("orders", batch, JSON.stringify([structured, { ...structured, id: "3" }]))).status, 202);
		assert.equal(published.length, 2);
		assert.equal((await post("orders", batch, "[]")).status, 202);
	});

	test("what is wrong is said, and nothing of it is published", async () => {
		const structuredType = { "content-type": "application/cloudevents+json" };
		const cases: [string, Record<string, string>, string, number, RegExp][] = [
			["default", { ...ce, "ce-id": "" }, "", 400, /id/],
			["default", { ...ce, "content-type": "application/json" }, "{", 400, /data is not JSON/],
			["default", structuredType, "{}", 400, /specversion/],
			["default", structuredType, JSON.stringify({ ...structured, time: "today" }), 400, /time/],
			["default", { "content-type": "application/cloudevents+avro" }, "x", 400, /avro/],
			["default", { "content-type": "application/json" }, "{}", 415, /no CloudEvent/],
			["default", { ...structuredType, authorization: "Bearer wrong" }, "{}", 401, /token/],
			["gone", ce, "", 404, /gone/],
			["%ff", ce, "", 400, /path/],
			["default", { ...ce, "ce-type": "bad" }, "", 400, /malformed/],
			["default", ce, "x".repeat(1_048_577), 413, /larger/],
		];
		for (const [path, headers, body, status, words] of cases) {
			const answer = await post(path, headers, body);
			const text = await answer.text();
			assert.equal(answer.status, status, text);
			assert.match(text, words);
			assert.equal(published.length, 0, text);
		}
		const batch = { "content-type": "application/cloudevents-batch+json" };
		const mixed = await post("default", batch, JSON.stringify([structured, { ...structured, type: "bad" }]));
		assert.equal(mixed.status, 207);
		assert.deepEqual(
			((await mixed.json()) as { results: object[] }).results.map((result) => Object.keys(result)[0]),
			["id", "error"],
		);
	});

	test("the abuse-protection handshake names the origin again", async () => {
		const asked = { "webhook-request-origin": "events.example.com", "webhook-request-rate": "100" };
		const { status, headers } = await post("default", asked, null, "OPTIONS");
		assert.deepEqual(
			[status, headers.get("webhook-allowed-origin"), headers.get("webhook-allowed-rate")],
			[200, "events.example.com", "*"],
		);
		assert.equal((await post("default", {}, null, "OPTIONS")).status, 400);
		assert.equal((await post("default", {}, null, "GET")).status, 405);
	});
});
