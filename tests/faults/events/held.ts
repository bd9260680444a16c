/** What a daemon that does not run any more had in its hands: read from a copy of its log's file, not from what it says. */
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const leasedMessages = `
	SELECT m.headers_bytes AS headersBytes, coalesce(m.content, l.content) AS content
	FROM messages m LEFT JOIN large l USING (sequence) WHERE m.state = 2`;

/** Bodies of the messages that are leased. The daemon has ended, or is stopped. */
export async function heldMessages(home: string): Promise<string[]> {
	const folder = await mkdtemp(join(tmpdir(), "slipway-held-"));
	try {
		const path = join(folder, "events.db");
		for (const suffix of ["", "-wal"]) await copyFile(join(home, `events.db${suffix}`), `${path}${suffix}`);
		const db = new DatabaseSync(path);
		try {
			const rows = db.prepare(leasedMessages).all() as unknown as { headersBytes: number; content: Uint8Array }[];
			return rows.map(({ headersBytes, content }) => Buffer.from(content).toString("utf8", headersBytes));
		} finally {
			db.close();
		}
	} finally {
		await rm(folder, { recursive: true });
	}
}
