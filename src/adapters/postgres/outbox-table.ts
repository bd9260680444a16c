import { quotedName, quotedTable } from "./connection.ts";

/**
 * The SQL that makes an outbox: whoever writes business data inserts its events in the same transaction
 * (https://microservices.io/patterns/data/transactional-outbox.html). Delivered rows are deleted; rejected ones stay, with
 * `dead_at`. The trigger wakes the consumer; without it rows are found by looking every few seconds.
 */
export function outboxTableSql(table: string, channel: string): string {
	const name = quotedTable(table);
	const short = table.split(".").at(-1) ?? table;
	const notify = quotedName(`${short}_notify`);
	return `
CREATE TABLE IF NOT EXISTS ${name} (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	message_id text UNIQUE,
	topic text NOT NULL DEFAULT '',
	payload bytea NOT NULL,
	content_type text,
	headers jsonb NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT now(),
	attempts integer NOT NULL DEFAULT 0,
	dead_at timestamptz,
	dead_reason text
);
CREATE INDEX IF NOT EXISTS ${quotedName(`${short}_waiting`)} ON ${name} (id) WHERE dead_at IS NULL;
CREATE OR REPLACE FUNCTION ${notify}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_notify('${channel.replaceAll("'", "''")}', '');
	RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER ${notify} AFTER INSERT ON ${name} FOR EACH STATEMENT EXECUTE FUNCTION ${notify}();`;
}
