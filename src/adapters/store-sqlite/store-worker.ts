/**
 * The database's thread: here fsync blocks nobody. Calls that arrive while a commit is on its way to the disk share the
 * next one (group commit); each still fails alone, and none is answered before its commit is done.
 */
import { parentPort, workerData } from "node:worker_threads";
import { isSlipwayError } from "../../base/error.ts";
import { collectWhenQuiet } from "../../base/garbage.ts";
import { toWire } from "../../base/wire-error.ts";
import { Database, fromStoreError } from "./database.ts";
import { FunctionQueries } from "./function-queries.ts";
import { IdempotencyQueries } from "./idempotency-queries.ts";
import type { Call, Message, Outcome } from "./protocol.ts";
import { RepositoryQueries } from "./repository-queries.ts";
import { ResourceQueries } from "./resource-queries.ts";

const { path } = workerData as { path: string };
/** Calls in one commit: bounds how long the first of them waits for the others. */
const maxBatch = 256;

const port = parentPort;
if (!port) throw new Error("This file runs as a worker thread");
const send = (message: Message) => port.postMessage(message);

try {
	serve(new Database(path));
	send({ ready: true });
} catch (error) {
	send({ failed: toWire(error) });
	port.close();
}

function serve(db: Database): void {
	const targets = {
		repositories: new RepositoryQueries(db),
		functions: new FunctionQueries(db),
		resources: new ResourceQueries(db),
		idempotency: new IdempotencyQueries(db),
	};
	const waiting: Call[] = [];
	const flush = () => {
		const batch = waiting.splice(0, maxBatch);
		if (batch.length === 0) return;
		send({ outcomes: runTogether(db, batch, (call) => invoke(targets[call.target], call)) });
		if (waiting.length > 0) setImmediate(flush);
	};
	const busy = collectWhenQuiet();
	port?.on("message", (message: Call | "close") => {
		busy();
		if (message === "close") {
			while (waiting.length > 0) flush();
			db[Symbol.dispose]();
			port.close();
			return;
		}
		if (waiting.push(message) === 1) setImmediate(flush);
	});
}

function invoke(target: object, call: Call): unknown {
	const method: unknown = Reflect.get(target, call.method);
	if (typeof method !== "function") throw new Error(`No such method: ${call.target}.${call.method}`);
	return Reflect.apply(method, target, call.parameters);
}

function runTogether(db: Database, calls: Call[], run: (call: Call) => unknown): Outcome[] {
	try {
		db.exec("BEGIN");
		const outcomes = calls.map((call) => runOne(db, call, run));
		db.exec("COMMIT");
		return outcomes;
	} catch (error) {
		if (db.inTransaction) db.exec("ROLLBACK");
		if (calls.length > 1) return calls.flatMap((call) => runTogether(db, [call], run));
		return calls.map(({ id }) => ({ id, error: toWire(fromStoreError(error, path)) }));
	}
}

/** A refusal undoes this call only. SQLite's own failure may have ended the transaction: it is thrown, and all run again, each alone. */
function runOne(db: Database, call: Call, run: (call: Call) => unknown): Outcome {
	db.exec("SAVEPOINT one");
	try {
		const value = run(call);
		db.exec("RELEASE one");
		return { id: call.id, value };
	} catch (error) {
		if (!isSlipwayError(error)) throw error;
		db.exec("ROLLBACK TO one; RELEASE one");
		return { id: call.id, error: toWire(error) };
	}
}
