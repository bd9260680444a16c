import { at, type FieldProblems } from "./field-problems.ts";

/** Items of any list of a manifest: more is refused before they are looked at. */
const maxItems = 1000;
/** Kubernetes' bound of all annotations together, bytes; of one value here. */
export const maxTextBytes = 256 * 1024;

/**
 * Reads the fields of one JSON object of which nothing is known: a field of another type is a problem and reads as absent,
 * null reads as absent (as Kubernetes has it), and a field that nobody asked for is refused by `end`.
 */
export class ObjectReader {
	readonly path: string;
	readonly problems: FieldProblems;
	readonly #fields: ReadonlyMap<string, unknown>;
	readonly #asked = new Set<string>();

	constructor(value: unknown, path: string, problems: FieldProblems) {
		this.path = path;
		this.problems = problems;
		const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
		if (!isObject && value !== undefined && value !== null) problems.invalid(value, path, "must be an object");
		this.#fields = new Map(isObject ? Object.entries(value).filter(([, one]) => one !== null) : []);
	}

	get size(): number {
		return this.#fields.size;
	}

	has(field: string): boolean {
		return this.#fields.has(field);
	}

	at(field: string | number): string {
		return at(this.path, field);
	}

	any(field: string): unknown {
		this.#asked.add(field);
		return this.#fields.get(field);
	}

	text(field: string): string | undefined {
		const value = this.any(field);
		if (value === undefined) return undefined;
		if (typeof value !== "string") return this.#refuseType(field, "string");
		if (value.length <= maxTextBytes && !value.includes("\0")) return value;
		this.problems.invalid(value, this.at(field), `must have at most ${maxTextBytes} characters and no NUL`);
		return undefined;
	}

	flag(field: string): boolean | undefined {
		const value = this.any(field);
		return value === undefined || typeof value === "boolean" ? value : this.#refuseType(field, "boolean");
	}

	/** An integer of 32 bits, as the API's schema has it. */
	integer(field: string): number | undefined {
		const value = this.any(field);
		if (value === undefined) return undefined;
		if (typeof value === "number" && Number.isInteger(value) && Math.abs(value) < 2 ** 31) return value;
		this.problems.invalid(value, this.at(field), "must be an integer");
		return undefined;
	}

	bounded(field: string, least: number, most: number): number | undefined {
		const value = this.integer(field);
		if (value === undefined || (value >= least && value <= most)) return value;
		this.problems.outOfBounds(value, least, most, this.at(field));
		return undefined;
	}

	object(field: string): ObjectReader | undefined {
		const value = this.any(field);
		if (value === undefined) return undefined;
		if (typeof value === "object" && !Array.isArray(value))
			return new ObjectReader(value, this.at(field), this.problems);
		this.problems.invalid(value, this.at(field), "must be an object");
		return undefined;
	}

	list(field: string): unknown[] {
		const value = this.any(field);
		if (value === undefined) return [];
		if (!Array.isArray(value)) this.problems.invalid(value, this.at(field), "must be a list");
		else if (value.length > maxItems)
			this.problems.invalid(`a list of ${value.length}`, this.at(field), `must have at most ${maxItems} items`);
		else return value;
		return [];
	}

	objects(field: string): ObjectReader[] {
		return this.list(field).flatMap((item, index) => {
			const path = at(this.at(field), index);
			if (typeof item === "object" && item !== null && !Array.isArray(item))
				return [new ObjectReader(item, path, this.problems)];
			this.problems.invalid(item, path, "must be an object");
			return [];
		});
	}

	texts(field: string): string[] | undefined {
		if (!this.has(field)) return void this.any(field);
		return this.list(field).flatMap((item, index) => {
			if (typeof item === "string" && item.length <= maxTextBytes && !item.includes("\0")) return [item];
			this.problems.invalid(item, at(this.at(field), index), "must be a string");
			return [];
		});
	}

	/** An object whose values are all strings; `check` looks at each. */
	textMap(field: string, check?: (key: string, value: string, path: string) => void): Record<string, string> {
		const reader = this.object(field);
		if (!reader) return {};
		const entries: [string, string][] = [];
		for (const key of reader.#fields.keys()) {
			const value = reader.text(key);
			if (value === undefined) continue;
			check?.(key, value, reader.path);
			entries.push([key, value]);
		}
		return Object.fromEntries(entries);
	}

	/** Fields that are known and refused, with what to do instead. */
	refuse(fields: Readonly<Record<string, string>>): void {
		for (const [field, instead] of Object.entries(fields)) {
			if (this.any(field) !== undefined) this.problems.disallowed(this.at(field), instead);
		}
	}

	/** Accepted and of no meaning here. */
	ignore(...fields: string[]): void {
		for (const field of fields) this.#asked.add(field);
	}

	end(): void {
		for (const field of this.#fields.keys()) if (!this.#asked.has(field)) this.problems.disallowed(this.at(field));
	}

	#refuseType(field: string, type: string): undefined {
		this.problems.invalid(this.any(field), this.at(field), `must be a ${type}`);
	}
}
