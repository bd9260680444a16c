import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { consume } from "../../core/event-source/event-source.contract.ts";
import type { Verdict } from "../../core/event-source/event-source.ts";
import { SlotSource } from "./slot-source.ts";
import { skipPostgres, startPostgres, type TestPostgres } from "./testing/server.ts";

const accept = async (): Promise<Verdict> => ({ verdict: "acknowledge" });

describe("PostgreSQL logical changes", { skip: skipPostgres }, () => {
	let server: TestPostgres;
	let made = 0;
	before(async () => {
		server = await startPostgres();
	});
	after(() => server?.[Symbol.asyncDispose]());

	/** A table with its publication and a slot that has seen nothing yet. */
	async function makeTable(): Promise<{ table: string; source: () => SlotSource }> {
		const table = `orders_${++made}`;
		await server.query(`CREATE TABLE ${table} (id int PRIMARY KEY, big bigint, note text, paid bool, data jsonb)`);
		await server.query(`CREATE PUBLICATION pub_${table} FOR TABLE ${table}`);
		await server.query(`SELECT pg_create_logical_replication_slot('slot_${table}', 'pgoutput')`);
		const options = { slot: `slot_${table}`, publication: `pub_${table}` };
		return { table, source: () => new SlotSource(server.address, options) };
	}

	it("Gives each change of a row, in the order of the commits, once", async () => {
		const { table, source } = await makeTable();
		await server.query(
			`INSERT INTO ${table} VALUES (1, 9007199254740993, 'a', true, '{"x":[1]}'), (2, NULL, 'b', false, NULL)`,
		);
		await server.query(`UPDATE ${table} SET note = 'c' WHERE id = 1`);
		await server.query(`DELETE FROM ${table} WHERE id = 2`);
		{
			await using run = consume(source(), accept);
			await run.until(() => run.seen.length === 4);
			const changes = run.bodies().map((body) => JSON.parse(body));
			const row = { id: 1, big: "9007199254740993", note: "a", paid: true, data: { x: [1] } };
			assert.deepEqual(
				changes.map(({ operation, before, after }) => ({ operation, before, after })),
				[
					{ operation: "insert", before: undefined, after: row },
					{ operation: "insert", before: undefined, after: { id: 2, big: null, note: "b", paid: false, data: null } },
					{ operation: "update", before: undefined, after: { ...row, note: "c" } },
					{ operation: "delete", before: { id: 2 }, after: undefined },
				],
			);
			assert.equal(new Set(run.seen.map(({ id }) => id)).size, 4);
			assert.equal(run.seen[0]?.subject, `public.${table}`);
		}
		await server.query(`INSERT INTO ${table} (id) VALUES (3)`);
		await using again = consume(source(), accept);
		await again.until(() => again.seen.length > 0);
		assert.deepEqual(
			again.bodies().map((body) => JSON.parse(body).after.id),
			[3],
		);
	});

	it("What is not acknowledged comes again with the same id, and only that in the same session", async () => {
		const { table, source } = await makeTable();
		await server.query(`INSERT INTO ${table} (id) VALUES (1), (2)`);
		let released = false;
		await using run = consume(source(), async (message) => {
			if (JSON.parse(Buffer.from(message.body).toString()).after.id !== 1 || released) return accept();
			released = true;
			return { verdict: "release" };
		});
		await run.until(() => run.seen.length === 3);
		assert.deepEqual(
			run.bodies().map((body) => JSON.parse(body).after.id),
			[1, 2, 1],
		);
		assert.equal(run.seen[2]?.id, run.seen[0]?.id);
		assert.equal(run.seen[2]?.redelivered, true);
	});

	it("After a kill of the server everything unacknowledged is there", async () => {
		const { table, source } = await makeTable();
		await server.query(`INSERT INTO ${table} (id) VALUES (1), (2)`);
		const run = consume(source(), () => new Promise<Verdict>(() => {}));
		await run.until(() => run.seen.length === 2);
		await server.restart();
		await assert.rejects(run.ended, { code: "UNAVAILABLE" });
		await using again = consume(source(), accept);
		await again.until(() => again.seen.length === 2);
		assert.deepEqual(
			again.seen.map(({ id }) => id),
			run.seen.map(({ id }) => id),
		);
	});

	it("No more than `prefetch` are in hand; one that is refused stops it, and is not lost", async () => {
		const { table, source } = await makeTable();
		await server.query(`INSERT INTO ${table} (id) SELECT generate_series(1, 10)`);
		const refuse = async (): Promise<Verdict> => {
			await sleep(20);
			return { verdict: "reject", reason: "too large" };
		};
		const run = consume(source(), refuse, 2);
		await assert.rejects(run.ended, { code: "UNAVAILABLE", message: /keeps no dead letters.*too large/ });
		assert.equal(run.mostInHand, 2);
		await using again = consume(source(), accept);
		await again.until(() => again.seen.length === 10);
	});
});
