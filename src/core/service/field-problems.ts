import { SlipwayError } from "../../base/error.ts";
import { dns1035LabelProblem } from "./kubernetes-names.ts";

/** Problems told in one answer: a manifest that is garbage from end to end gets a message one can read. */
const maxProblems = 50;
/** Characters of a value that a message repeats. */
const maxShownValue = 120;

/**
 * What is wrong with a manifest, all of it, in the words of Knative's webhook (knative.dev/pkg/apis FieldError): the
 * problem, the value, what is allowed and the field's path.
 */
export class FieldProblems {
	readonly #problems = new Map<string, { message: string; details: string | undefined; paths: string[] }>();
	#count = 0;

	get found(): boolean {
		return this.#count > 0;
	}

	/** Problems that differ by their path alone are told together, as Knative does. */
	add(message: string, path: string | readonly string[], details?: string): void {
		this.#count++;
		const key = `${message}\n${details ?? ""}`;
		const problem = this.#problems.get(key) ?? { message, details, paths: [] };
		if (this.#problems.size >= maxProblems && !this.#problems.has(key)) return;
		this.#problems.set(key, problem);
		if (problem.paths.length < maxProblems) problem.paths.push(...(typeof path === "string" ? [path] : path));
	}

	missing(path: string): void {
		this.add("missing field(s)", path);
	}

	disallowed(path: string, instead?: string): void {
		this.add("must not set the field(s)", path, instead);
	}

	invalid(value: unknown, path: string, allowed?: string): void {
		this.add(`invalid value: ${shown(value)}`, path, allowed);
	}

	/** Knative's message has what is allowed in the value's place: the value follows. */
	dns1035Label(text: string, path: string): boolean {
		const problem = dns1035LabelProblem(text);
		if (problem) this.add(`invalid value: not a DNS 1035 label: [${problem}]`, path, `it is "${shown(text)}"`);
		return problem === undefined;
	}

	outOfBounds(value: number, least: number, most: number, path: string): void {
		this.add(`expected ${least} <= ${value} <= ${most}`, path);
	}

	neither(path: string, fields: readonly string[]): void {
		this.add(
			"expected exactly one, got neither",
			fields.map((field) => at(path, field)),
		);
	}

	both(path: string, fields: readonly string[]): void {
		this.add(
			"expected exactly one, got both",
			fields.map((field) => at(path, field)),
		);
	}

	/** INVALID with everything that was found, sorted as Knative sorts it. */
	throwIfFound(): void {
		if (!this.found) return;
		const told = [...this.#problems.values()].map(({ message, details, paths }) => {
			const unique = [...new Set(paths)].sort().join(", ");
			return `${unique === "" ? message : `${message}: ${unique}`}${details ? `\n${details}` : ""}`;
		});
		const more = this.#count - this.#problems.size;
		if (this.#problems.size >= maxProblems && more > 0) told.push(`and ${more} more`);
		throw new SlipwayError("INVALID", `validation failed: ${told.join("\n")}`, { reason: "Invalid" });
	}
}

export function shown(value: unknown): string {
	let text: string;
	if (typeof value === "string") text = value;
	else if (typeof value === "object" && value !== null) text = Array.isArray(value) ? "[…]" : "{…}";
	else text = String(value);
	// Control characters would let a value forge lines of a log.
	const clean = text.slice(0, maxShownValue).replace(/[\p{Cc}\p{Cs}\u2028\u2029]/gu, "\ufffd");
	return text.length > maxShownValue ? `${clean}…` : clean;
}

/** `path.field`, `path[0]`. */
export function at(path: string, field: string | number): string {
	if (typeof field === "number") return `${path}[${field}]`;
	return path === "" ? field : `${path}.${shown(field)}`;
}
