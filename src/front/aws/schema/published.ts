/**
 * The operations that an AWS SDK client package publishes as data (`Invoke$ = [9, namespace, name, {http}, input, output]`,
 * @smithy/types "StaticOperationSchema"), read without loading the client around them: a client costs 25 MB of memory and
 * 100 ms, its schema module 3 MB and 10 ms.
 */
import { createRequire, registerHooks } from "node:module";
import { pathToFileURL } from "node:url";
import { NormalizedSchema } from "@smithy/core/schema";
import type { StaticErrorSchema, StaticOperationSchema } from "@smithy/types";

export type Schema = NormalizedSchema;

export interface PublishedOperation {
	name: string;
	/** `smithy.api#http`: method, URI pattern and status of a success. Undefined in protocols that do not use it. */
	http: { method: string; uri: string; status: number } | undefined;
	input: Schema;
	output: Schema;
}

export interface PublishedService {
	operations: PublishedOperation[];
	/** Error shapes by name, such as "ResourceNotFoundException". */
	errors: Map<string, Schema>;
}

const operationSchemaId = 9;
const errorSchemaId = -3;

export async function loadService(sdkPackage: string): Promise<PublishedService> {
	const published = Object.values(await importSchemas(sdkPackage));
	return {
		operations: published.filter(isOperation).map(describe),
		errors: new Map(published.filter(isError).map((schema) => [schema[2], NormalizedSchema.of(schema)])),
	};
}

async function importSchemas(sdkPackage: string): Promise<Record<string, unknown>> {
	const require = createRequire(import.meta.url);
	const path = require.resolve(`${sdkPackage}/dist-es/schemas/schemas_0.js`);
	// The package's ES modules are made for bundlers: their relative imports have no extension.
	const hooks = registerHooks({
		resolve(specifier, context, next) {
			const bundled = context.parentURL?.includes(`/${sdkPackage}/dist-es/`) && /^\.\.?\//.test(specifier);
			return bundled ? { ...next(`${specifier}.js`, context), format: "module" } : next(specifier, context);
		},
	});
	try {
		return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
	} finally {
		hooks.deregister();
	}
}

function isOperation(value: unknown): value is StaticOperationSchema {
	return Array.isArray(value) && value[0] === operationSchemaId;
}

function isError(value: unknown): value is StaticErrorSchema {
	return Array.isArray(value) && value[0] === errorSchemaId;
}

function describe(operation: StaticOperationSchema): PublishedOperation {
	const [, , name, traits, input, output] = operation;
	const http = typeof traits === "object" ? traits.http : undefined;
	return {
		name,
		http: http && { method: http[0], uri: http[1], status: http[2] },
		input: NormalizedSchema.of(input),
		output: NormalizedSchema.of(output),
	};
}
