/** OpenAPI 3.1, made from the routes and their schemas: it can't say anything else than what runs. */
import { z } from "zod";
import { components } from "../../client/schema.ts";
import type { ComponentName, Route } from "./route.ts";

type Json = Record<string, unknown>;

const reference = (name: ComponentName): Json => ({ $ref: `#/components/schemas/${name}` });

export function openApiDocument(routes: readonly Route[], basePath: string, version: string): Json {
	const paths: Record<string, Json> = {};
	for (const route of routes) {
		paths[route.path] ??= {};
		paths[route.path]![route.method.toLowerCase()] = operation(route);
	}
	return {
		openapi: "3.1.0",
		info: {
			title: "Slipway",
			version,
			description: "The native API of a Slipway daemon. Errors are RFC 9457 problems with a stable `code`.",
			license: { name: "Apache-2.0", identifier: "Apache-2.0" },
		},
		servers: [{ url: basePath }],
		security: [{ token: [] }],
		paths,
		components: {
			securitySchemes: { token: { type: "http", scheme: "bearer", description: "`slipway env` prints it" } },
			schemas: Object.fromEntries(Object.entries(components).map(([name, schema]) => [name, jsonSchema(schema)])),
		},
	};
}

/** `output`: defaults are filled in; only queries have any, and they are parameters, where a default says it all. */
function jsonSchema(schema: z.ZodType): Json {
	const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: "draft-2020-12", io: "input" });
	return rest;
}

function operation(route: Route): Json {
	return {
		operationId: route.id,
		summary: route.summary,
		...(route.open && { security: [] }),
		...parameters(route),
		...requestBody(route),
		responses: {
			...answer(route),
			default: {
				description: "A problem (RFC 9457)",
				content: { "application/problem+json": { schema: reference("Problem") } },
			},
		},
	};
}

function parameters({ params, query }: Route): Json {
	const list = [
		...Object.entries(params).map(([name, schema]) => parameter(name, "path", true, schema)),
		...Object.entries(query.shape).map(([name, schema]) => parameter(name, "query", false, schema as z.ZodType)),
	];
	return list.length > 0 ? { parameters: list } : {};
}

function parameter(name: string, place: "path" | "query", required: boolean, schema: z.ZodType): Json {
	// The input of a coerced number is anything at all; its output says what the text must read as.
	const { $schema: _, description, ...rest } = z.toJSONSchema(schema, { target: "draft-2020-12", io: "output" });
	return { name, in: place, required, ...(description !== undefined && { description }), schema: rest };
}

function requestBody({ body }: Route): Json {
	if (body.kind === "none") return {};
	const content =
		body.kind === "json"
			? { "application/json": { schema: reference(body.component) } }
			: { [body.mediaType]: { schema: {} } };
	return { requestBody: { required: body.kind === "json", content } };
}

function answer({ answer: result }: Route): Json {
	if (result.kind === "none") return { [result.status]: { description: "Done" } };
	if (result.kind === "stream")
		return {
			200: {
				description: "One JSON document a line; each has this schema",
				content: { "application/x-ndjson": { schema: reference(result.component) } },
			},
		};
	if (result.kind === "raw") {
		const headers = Object.entries(result.headers).map(([name, description]) => [
			name,
			{ description, schema: { type: "string" } },
		]);
		return {
			200: {
				description: result.description,
				headers: Object.fromEntries(headers),
				content: { [result.mediaType ?? "application/json"]: { schema: {} } },
			},
		};
	}
	const schema = result.component ? reference(result.component) : {};
	return { [result.status]: { description: "Done", content: { "application/json": { schema } } } };
}
