import type { Row } from "../../base/sqlite-database.ts";
import { defaultLaneSettings, type LaneSettings } from "../../core/message-log/message-log.ts";
import type { Database } from "./database.ts";
import type { StateNumber } from "./message-table.ts";

/** Lanes kept in memory between transactions, about 500 bytes each. */
const maxCached = 2000;

export interface Lane {
	readonly id: number;
	/** Null for one that was removed. */
	readonly name: string | null;
	settings: LaneSettings;
	visible: number;
	delayed: number;
	inFlight: number;
	bytes: number;
	changed: boolean;
}

/** The lanes and what they hold. Counters change in memory and are written once a transaction: `flush` before each commit or savepoint. */
export class LaneTable {
	readonly #db: Database;
	readonly #byId = new Map<number, Lane>();
	readonly #byName = new Map<string, Lane>();
	readonly #changed = new Set<Lane>();
	/** Names of those where messages may have become ready since `takeReadied`. */
	#readied = new Set<string>();

	constructor(db: Database) {
		this.#db = db;
	}

	byId(id: number): Lane | undefined {
		return this.#byId.get(id) ?? this.#keep(this.#db.get("SELECT * FROM lanes WHERE id = ?", id));
	}

	byName(name: string): Lane | undefined {
		return this.#byName.get(name) ?? this.#keep(this.#db.get("SELECT * FROM lanes WHERE name = ?", name));
	}

	/** Made with the default settings when it is not there. */
	named(name: string): Lane {
		return this.byName(name) ?? this.define(name, defaultLaneSettings);
	}

	define(name: string, settings: LaneSettings): Lane {
		const lane = this.byName(name);
		const json = JSON.stringify(settings);
		if (lane) {
			this.#db.run("UPDATE lanes SET settings = ? WHERE id = ?", json, lane.id);
			lane.settings = settings;
			return lane;
		}
		const row = this.#db.get("INSERT INTO lanes (name, settings) VALUES (?, ?) RETURNING *", name, json);
		this.#db.writes++;
		return this.#keep(row) as Lane;
	}

	/** The name is free at once; the messages stay with the nameless lane until they are deleted, step by step. */
	detach(lane: Lane): void {
		this.flush();
		this.#db.run("UPDATE lanes SET name = NULL WHERE id = ?", lane.id);
		this.#forget(lane);
	}

	delete(lane: Lane): void {
		this.#db.run("DELETE FROM lanes WHERE id = ?", lane.id);
		this.#changed.delete(lane);
		this.#forget(lane);
	}

	/** A message of so many bytes came (`from` undefined), changed its state, or went (`to` undefined). */
	count(lane: Lane, from: StateNumber | undefined, to: StateNumber | undefined, bytes: number): void {
		if (from !== undefined) this.#add(lane, from, -1);
		if (to !== undefined) this.#add(lane, to, 1);
		if (from === undefined) lane.bytes += bytes;
		if (to === undefined) lane.bytes -= bytes;
		lane.changed = true;
		this.#changed.add(lane);
		const hasRoomAgain = from === 2 && to !== 2 && lane.inFlight === lane.settings.maxInFlight - 1;
		if (lane.name !== null && (to === 0 || hasRoomAgain)) this.#readied.add(lane.name);
	}

	#add(lane: Lane, state: StateNumber, n: number): void {
		if (state === 1) lane.delayed += n;
		else if (state === 2) lane.inFlight += n;
		else lane.visible += n;
	}

	readied(name: string): void {
		this.#readied.add(name);
	}

	takeReadied(): string[] {
		const names = [...this.#readied];
		this.#readied.clear();
		return names;
	}

	flush(): void {
		for (const lane of this.#changed) {
			const { visible, delayed, inFlight, bytes, id } = lane;
			const sql = "UPDATE lanes SET visible = ?, delayed = ?, in_flight = ?, bytes = ? WHERE id = ?";
			this.#db.run(sql, visible, delayed, inFlight, bytes, id);
			lane.changed = false;
		}
		this.#changed.clear();
	}

	/** After a rollback: the file knows. */
	reset(): void {
		this.#changed.clear();
		this.#byId.clear();
		this.#byName.clear();
	}

	/** Between transactions, so that nothing unwritten is lost. */
	trim(): void {
		if (this.#byId.size > maxCached) this.reset();
	}

	#keep(row: Row | undefined): Lane | undefined {
		if (!row) return undefined;
		const lane = toLane(row);
		this.#byId.set(lane.id, lane);
		if (lane.name !== null) this.#byName.set(lane.name, lane);
		return lane;
	}

	#forget(lane: Lane): void {
		this.#byId.delete(lane.id);
		if (lane.name !== null) this.#byName.delete(lane.name);
	}
}

function toLane(row: Row): Lane {
	return {
		id: row.id as number,
		name: row.name as string | null,
		settings: JSON.parse(row.settings as string) as LaneSettings,
		visible: row.visible as number,
		delayed: row.delayed as number,
		inFlight: row.in_flight as number,
		bytes: row.bytes as number,
		changed: false,
	};
}
