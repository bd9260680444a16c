/** A request's body, parameters and headers against JSON Schemas (https://json-schema.org, by Ajv). Compiled once a rule. */
import type { ErrorObject, ValidateFunction } from "ajv";
import type { JsonSchema, RequestSchema } from "../../core/gateway-route/gateway-route.ts";

export interface SchemaProblem {
	in: "body" | "query" | "headers";
	/** JSON Pointer of the value that is wrong. */
	path: string;
	message: string;
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** Told in one answer. */
const maxProblems = 20;
/** Bytes of a body whose problems are all looked for; of a longer one the first is told: each costs memory. */
const maxThoroughBytes = 64 * 1024;

interface Compiled {
	all: ValidateFunction;
	first: ValidateFunction;
}

export class RequestSchemas {
	readonly #schema: RequestSchema;
	#compiled: Promise<{ [Part in "body" | "query" | "headers"]?: Compiled }> | undefined;

	constructor(schema: RequestSchema) {
		this.#schema = schema;
	}

	get wantsBody(): boolean {
		return this.#schema.body !== undefined;
	}

	async checkHead(headers: Headers, query: string): Promise<SchemaProblem[]> {
		const { query: ofQuery, headers: ofHeaders } = await this.#validators();
		const problems: SchemaProblem[] = [];
		if (ofQuery) problems.push(...check("query", ofQuery.all, parametersOf(query, this.#schema.query)));
		if (problems.length === 0 && ofHeaders) problems.push(...check("headers", ofHeaders.all, headersOf(headers)));
		return problems;
	}

	async checkBody(body: Buffer): Promise<SchemaProblem[]> {
		const { body: validators } = await this.#validators();
		if (!validators) return [];
		let value: unknown;
		try {
			value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
		} catch {
			return [{ in: "body", path: "", message: body.length === 0 ? "must not be empty" : "must be JSON" }];
		}
		return check("body", body.length > maxThoroughBytes ? validators.first : validators.all, value);
	}

	#validators() {
		this.#compiled ??= this.#compile();
		return this.#compiled;
	}

	async #compile() {
		const { body, query, headers } = this.#schema;
		return {
			...(body !== undefined && { body: await compile(body, false) }),
			...(query !== undefined && { query: await compile(query, true) }),
			...(headers !== undefined && { headers: await compile(headers, true) }),
		};
	}
}

/** Why a schema can't be used; for engine/gateway-routes. */
export async function schemaProblem(schema: JsonSchema): Promise<string | undefined> {
	try {
		await compile(schema, false);
		return undefined;
	} catch (error) {
		return error instanceof Error ? error.message.slice(0, 300) : String(error);
	}
}

function check(where: SchemaProblem["in"], validate: ValidateFunction, value: unknown): SchemaProblem[] {
	try {
		if (validate(value)) return [];
	} catch (error) {
		// A value as deep as a schema that names itself lets it go.
		if (!(error instanceof RangeError)) throw error;
		return [{ in: where, path: "", message: "is nested too deeply" }];
	}
	return (validate.errors ?? []).slice(0, maxProblems).map((error) => problemOf(where, error));
}

function problemOf(
	where: SchemaProblem["in"],
	{ instancePath, message = "is not valid", params }: ErrorObject,
): SchemaProblem {
	const name: unknown = params.additionalProperty ?? params.unevaluatedProperty;
	const extra = typeof name === "string" ? ` ('${name.slice(0, 100)}')` : "";
	const allowed = Array.isArray(params.allowedValues) ? `: ${JSON.stringify(params.allowedValues).slice(0, 200)}` : "";
	return { in: where, path: instancePath.slice(0, 300), message: `${message}${extra}${allowed}` };
}

/** Numbers and truth values of parameters and headers are written as text: `coerce` reads them as the schema wants them. */
async function compile(schema: JsonSchema, coerce: boolean): Promise<Compiled> {
	const draft07 = typeof schema === "object" && /draft-0?7/.test(String(schema.$schema ?? ""));
	const { default: formats } = await import("ajv-formats");
	const make = async (allErrors: boolean) => {
		const { default: Ajv } = draft07 ? await import("ajv") : await import("ajv/dist/2020.js");
		const options = { allErrors, coerceTypes: coerce, strict: false, validateFormats: true, logger: false } as const;
		const ajv = new Ajv.default(options);
		formats.default(ajv);
		return ajv.compile(schema);
	};
	return { all: await make(true), first: await make(false) };
}

/** A parameter that is repeated is a list; one that the schema calls a list is one even when it comes once. */
function parametersOf(query: string, schema: JsonSchema | undefined): Record<string, unknown> {
	const parameters = new Map<string, string | string[]>();
	for (const [name, value] of new URLSearchParams(query)) {
		const before = parameters.get(name);
		if (before === undefined) parameters.set(name, isListed(schema, name) ? [value] : value);
		else if (Array.isArray(before)) before.push(value);
		else parameters.set(name, [before, value]);
	}
	return Object.fromEntries(parameters);
}

function isListed(schema: JsonSchema | undefined, name: string): boolean {
	const properties = typeof schema === "object" ? schema.properties : undefined;
	if (typeof properties !== "object" || properties === null || !Object.hasOwn(properties, name)) return false;
	const property: unknown = Reflect.get(properties, name);
	return typeof property === "object" && property !== null && "type" in property && property.type === "array";
}

function headersOf(headers: Headers): Record<string, string> {
	const texts = Object.entries(headers).filter(([name, value]) => value !== undefined && !name.startsWith(":"));
	return Object.fromEntries(texts.map(([name, value]) => [name, String(value)]));
}
