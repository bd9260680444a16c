import type { Clock } from "../../base/clock.ts";
import { SlipwayError } from "../../base/error.ts";
import type { Ids } from "../../base/ids.ts";
import type { FunctionRecord, FunctionUrl, FunctionUrlCors } from "../../core/function/function.ts";
import { type FunctionRecords, own, without } from "./records.ts";

export interface FunctionUrlInput {
	authType: FunctionUrl["authType"];
	invokeMode?: "BUFFERED" | "RESPONSE_STREAM";
	cors?: FunctionUrlCors;
}

export interface FunctionUrlsDeps {
	records: FunctionRecords;
	clock: Pick<Clock, "now">;
	ids: Pick<Ids, "hex">;
	region: string;
	/**
	 * Scheme, host and port under which clients of this machine reach the daemon, such as "http://localhost:8080": names
	 * below `localhost` are the loopback address without any DNS (RFC 6761). Asked each time, since port 0 is settled late.
	 */
	origin: () => string;
}

/** Where a URL's id leads. `qualifier` "" is the function itself. */
export interface FunctionUrlTarget {
	name: string;
	qualifier: string;
	url: FunctionUrl;
}

/** Function URLs' configurations: one for the function, one for each alias (lambda-contract 4.5). */
export class FunctionUrls {
	readonly #deps: FunctionUrlsDeps;
	readonly #byId = new Map<string, Omit<FunctionUrlTarget, "url">>();

	constructor(deps: FunctionUrlsDeps) {
		this.#deps = deps;
		for (const record of deps.records.all()) this.#index(record.name, undefined, record);
		deps.records.onChange((name, before, after) => this.#index(name, before, after));
	}

	/** NOT_FOUND for the function or alias, CONFLICT when it has one, INVALID. */
	async create(name: string, qualifier: string, input: FunctionUrlInput): Promise<FunctionUrl> {
		const { records, clock } = this.#deps;
		this.#checkTarget(name, qualifier);
		checkCors(input.cors);
		const now = clock.now();
		const { authType, invokeMode, cors } = input;
		const url: FunctionUrl = { urlId: this.#newId(), authType, invokeMode, cors, createdMs: now, lastModifiedMs: now };
		await records.change(name, (record) => {
			this.#checkTarget(name, qualifier);
			if (own(record.urls, qualifier))
				throw new SlipwayError(
					"CONFLICT",
					`Failed to create function url config for [functionArn = ${records.arn(name, qualifier)}]. Error message:  FunctionUrlConfig exists for this Lambda function`,
				);
			return withUrl(record, qualifier, url);
		});
		return url;
	}

	/** NOT_FOUND. */
	get(name: string, qualifier: string): FunctionUrl {
		checkQualifier(qualifier);
		const record = this.#deps.records.find(name);
		const url = record && own(record.urls, qualifier);
		if (!url) throw missing();
		return url;
	}

	/** The function's own first, then by alias. NOT_FOUND for the function. */
	list(name: string): { qualifier: string; url: FunctionUrl }[] {
		const record = this.#deps.records.find(name);
		if (!record) throw noFunction();
		return Object.entries(record.urls)
			.map(([qualifier, url]) => ({ qualifier, url }))
			.sort((a, b) => (a.qualifier < b.qualifier ? -1 : 1));
	}

	/** What is not given stays. NOT_FOUND, INVALID. */
	async update(name: string, qualifier: string, input: Partial<FunctionUrlInput>): Promise<FunctionUrl> {
		this.#checkTarget(name, qualifier);
		checkCors(input.cors);
		const record = await this.#deps.records.change(name, (before) => {
			const url = own(before.urls, qualifier);
			if (!url) throw missing();
			const { authType = url.authType, invokeMode = url.invokeMode, cors = url.cors } = input;
			return withUrl(before, qualifier, { ...url, authType, invokeMode, cors, lastModifiedMs: this.#deps.clock.now() });
		});
		return own(record.urls, qualifier) ?? this.get(name, qualifier);
	}

	/** NOT_FOUND. */
	async delete(name: string, qualifier: string): Promise<void> {
		this.get(name, qualifier);
		await this.#deps.records.change(name, (record) => {
			if (!own(record.urls, qualifier)) throw missing();
			return { ...record, urls: without(record.urls, qualifier) };
		});
	}

	/** Whose a request is, by the first label of its host name. */
	byUrlId(urlId: string): FunctionUrlTarget | undefined {
		const target = this.#byId.get(urlId);
		const record = target && this.#deps.records.find(target.name);
		const url = record && own(record.urls, target.qualifier);
		return url && { ...target, url };
	}

	/** `http://ID.lambda-url.REGION.localhost:PORT/`, https where the daemon speaks TLS. */
	address(url: FunctionUrl): string {
		const { protocol, host } = new URL(this.#deps.origin());
		return `${protocol}//${url.urlId}.lambda-url.${this.#deps.region}.${host}/`;
	}

	#index(name: string, before: FunctionRecord | undefined, after: FunctionRecord | undefined): void {
		if (before?.urls === after?.urls) return;
		for (const { urlId } of Object.values(before?.urls ?? {})) this.#byId.delete(urlId);
		for (const [qualifier, { urlId }] of Object.entries(after?.urls ?? {})) this.#byId.set(urlId, { name, qualifier });
	}

	#checkTarget(name: string, qualifier: string): void {
		checkQualifier(qualifier);
		const record = this.#deps.records.find(name);
		if (!record || (qualifier !== "" && !own(record.aliases, qualifier))) throw noFunction();
	}

	/** 32 characters of [a-z0-9], as the cloud's: 165 random bits. */
	#newId(): string {
		for (;;) {
			const id = (BigInt(`0x${this.#deps.ids.hex(24)}`) % 36n ** 32n).toString(36).padStart(32, "0");
			if (!this.#byId.has(id)) return id;
		}
	}
}

function withUrl(record: FunctionRecord, qualifier: string, url: FunctionUrl): FunctionRecord {
	return { ...record, urls: { ...record.urls, [qualifier]: url } };
}

function checkQualifier(qualifier: string): void {
	if (qualifier !== "" && !/^(?!^\d+$)[0-9a-zA-Z-_]+$/.test(qualifier))
		throw new SlipwayError(
			"INVALID",
			`1 validation error detected: Value '${qualifier.slice(0, 256)}' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: ((?!^\\d+$)^[0-9a-zA-Z-_]+$)`,
			{ reason: "ValidationException" },
		);
}

/** The API's model: lists of at most 100, at most a day. */
function checkCors(cors: FunctionUrlCors | undefined): void {
	if (!cors) return;
	const { allowOrigins, allowMethods, allowHeaders, exposeHeaders, maxAge } = cors;
	for (const [member, list, most] of [
		["allowOrigins", allowOrigins, 100],
		["allowMethods", allowMethods, 6],
		["allowHeaders", allowHeaders, 100],
		["exposeHeaders", exposeHeaders, 100],
	] as const) {
		const broken = (rule: string) => outOfRange(`cors.${member}`, `[${list?.slice(0, 10).join(", ")}]`, rule);
		if (list && list.length > most) throw broken(`have length less than or equal to ${most}`);
		// They become headers, where anything else would fail every answer of the URL.
		if (list?.some((text) => !/^[\x20-\x7e]*$/.test(text))) throw broken("have printable ASCII characters only");
	}
	if (maxAge !== undefined && !(Number.isInteger(maxAge) && maxAge >= 0 && maxAge <= 86_400))
		throw outOfRange("cors.maxAge", String(maxAge), "have value between 0 and 86400");
}

function outOfRange(member: string, value: string, rule: string): SlipwayError {
	return new SlipwayError(
		"INVALID",
		`1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: Member must ${rule}`,
		{ reason: "ValidationException" },
	);
}

function noFunction(): SlipwayError {
	return new SlipwayError("NOT_FOUND", "Function does not exist");
}

function missing(): SlipwayError {
	return new SlipwayError("NOT_FOUND", "The resource you requested does not exist.");
}
