import { type BrokerFixture, eventSourceContract } from "../../core/event-source/event-source.contract.ts";
import { OutboxSource } from "./outbox-source.ts";
import { outboxTableSql } from "./outbox-table.ts";
import { PostgresSink } from "./sink.ts";
import { skipPostgres, startPostgres } from "./testing/server.ts";

eventSourceContract("PostgreSQL outbox", open, { skip: skipPostgres });

async function open(): Promise<BrokerFixture> {
	const server = await startPostgres();
	let made = 0;
	return {
		restart: () => server.restart(),
		async makeDestination() {
			const table = `public.outbox_${++made}`;
			await server.query(outboxTableSql(table, table));
			return {
				destination: `table/${table}`,
				source: () => new OutboxSource(server.address, { table }),
				sink: () => new PostgresSink(server.address),
				async dead() {
					const rows = await server.query(
						`SELECT convert_from(payload, 'UTF8') AS text FROM ${table} WHERE dead_at IS NOT NULL`,
					);
					return rows.map(({ text }) => String(text));
				},
			};
		},
		[Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
	};
}
