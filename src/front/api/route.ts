import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";
import { SlipwayError } from "../../base/error.ts";
import type { components } from "../../client/schema.ts";

export type ComponentName = keyof typeof components;
export type Body = { kind: "none" } | { kind: "json"; component: ComponentName } | { kind: "raw"; mediaType: string };
export type Answer =
	| { kind: "json"; status: number; component?: ComponentName }
	| { kind: "none"; status: 204 }
	| { kind: "stream"; component: ComponentName }
	| { kind: "raw"; description: string; headers: Record<string, string>; mediaType?: string };

export interface Call<Query, Input> {
	/** Path parameters, decoded and checked against the route's patterns. */
	params: Readonly<Record<string, string>>;
	query: Query;
	/** The checked JSON body, where the route has one. */
	input: Input;
	requestId: string;
	request: IncomingMessage;
	response: ServerResponse;
	/** Aborts when the client goes away before its answer is complete. */
	gone: AbortSignal;
}

/** One operation: what OpenAPI says of it and what answers it. `handle` returns the JSON answer, or writes other kinds itself. */
export interface Route {
	id: string;
	method: "GET" | "POST" | "PUT" | "DELETE";
	/** `/functions/{name}`, below the API's base path. */
	path: string;
	summary: string;
	/** Open to callers without the token. */
	open?: boolean;
	params: Record<string, z.ZodType<string>>;
	query: z.ZodObject;
	body: Body;
	answer: Answer;
	handle: (call: Call<unknown, unknown>) => Promise<unknown>;
}

interface Definition<Query extends z.ZodObject, Input extends z.ZodType>
	extends Omit<Route, "handle" | "query" | "params" | "body"> {
	params?: Record<string, z.ZodType<string>>;
	query?: Query;
	body?: Body;
	input?: Input;
	handle: (call: Call<z.output<Query>, z.output<Input>>) => Promise<unknown>;
}

const noQuery = z.strictObject({});

/** Checks query and input once, so that handlers see only what their schemas let through. */
export function route<Query extends z.ZodObject = typeof noQuery, Input extends z.ZodType = z.ZodUndefined>(
	definition: Definition<Query, Input>,
): Route {
	const { input, query, handle, ...rest } = definition;
	return {
		params: {},
		body: { kind: "none" },
		...rest,
		query: query ?? noQuery,
		handle: (call) =>
			handle({
				...call,
				query: check(query ?? noQuery, call.query, "Query parameter") as z.output<Query>,
				input: (input ? check(input, call.input, "Field") : undefined) as z.output<Input>,
			}),
	};
}

function check<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
	const parsed = schema.safeParse(value);
	if (parsed.success) return parsed.data;
	const problems = parsed.error.issues.map(({ path, message }) =>
		path.length > 0 ? `${what} '${path.join(".")}': ${message}` : message,
	);
	throw new SlipwayError("INVALID", problems.join("; "));
}

export function checkParameter(name: string, schema: z.ZodType<string>, value: unknown): void {
	check(z.object({ [name]: schema }), { [name]: value }, "Parameter");
}
