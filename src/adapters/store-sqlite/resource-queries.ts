import type { Database } from "./database.ts";

export type ResourceRowChange =
	| { change: "put"; kind: string; namespace: string; name: string; document: string }
	| { change: "delete"; kind: string; namespace: string; name: string };

export interface ResourceRow {
	namespace: string;
	name: string;
	document: string;
}

export class ResourceQueries {
	readonly #db: Database;

	constructor(db: Database) {
		this.#db = db;
	}

	/** Within the savepoint of its call: all or none. */
	commit(changes: readonly ResourceRowChange[]): void {
		const putSql =
			"INSERT INTO resource (kind, namespace, name, document) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET document = excluded.document";
		const deleteSql = "DELETE FROM resource WHERE kind = ? AND namespace = ? AND name = ?";
		for (const change of changes) {
			const { kind, namespace, name } = change;
			if (change.change === "put") this.#db.run(putSql, kind, namespace, name, change.document);
			else this.#db.run(deleteSql, kind, namespace, name);
		}
	}

	page(kind: string, afterNamespace: string, afterName: string, limit: number): ResourceRow[] {
		const sql =
			"SELECT namespace, name, document FROM resource WHERE kind = ? AND (namespace, name) > (?, ?) ORDER BY namespace, name LIMIT ?";
		return this.#db.all(sql, kind, afterNamespace, afterName, limit).map((row) => ({
			namespace: row.namespace as string,
			name: row.name as string,
			document: row.document as string,
		}));
	}
}
