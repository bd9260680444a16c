/** Which version or alias a caller means (lambda-contract 4.3). */
import { isSlipwayError } from "../../../../base/error.ts";
import type { FunctionAlias, FunctionRecord, FunctionVersion } from "../../../../core/function/function.ts";
import { type FunctionName, notFound, qualifiedArn } from "./function-name.ts";
import type { LambdaFunctions, LambdaVersions } from "./ports.ts";

export interface Resolved {
	record: FunctionRecord;
	/** Undefined for the function itself, $LATEST, and an alias of it. */
	version: FunctionVersion | undefined;
	alias: FunctionAlias | undefined;
}

interface Deps {
	functions: Pick<LambdaFunctions, "get">;
	versions: Pick<LambdaVersions, "get" | "getAlias">;
}

const versionNumber = /^\d+$/;
const aliasName = /^(?!\d+$)[a-zA-Z0-9-_]+$/;

export function isVersionNumber(qualifier: string): boolean {
	return versionNumber.test(qualifier);
}

/** `missing` is what to throw when the function, version or alias is not there. */
export function resolve({ functions, versions }: Deps, target: FunctionName, missing: () => Error): Resolved {
	const { name, qualifier } = target;
	return orElse(missing, () => {
		const record = functions.get(name);
		if (qualifier === undefined || qualifier === "$LATEST") return { record, version: undefined, alias: undefined };
		if (isVersionNumber(qualifier)) return { record, version: versions.get(name, qualifier), alias: undefined };
		if (!aliasName.test(qualifier)) throw missing();
		const alias = versions.getAlias(name, qualifier);
		return { record, version: alias.version === "$LATEST" ? undefined : versions.get(name, alias.version), alias };
	});
}

/** "Function not found: ARN", as it was addressed. */
export function missingFunction(target: FunctionName): () => Error {
	return () => notFound(qualifiedArn(target));
}

/** Another error for NOT_FOUND. */
export function orElse<T>(missing: () => Error, look: () => T): T {
	try {
		return look();
	} catch (error) {
		if (isSlipwayError(error, "NOT_FOUND")) throw missing();
		throw error;
	}
}

export async function orElseAsync<T>(missing: () => Error, look: () => Promise<T>): Promise<T> {
	try {
		return await look();
	} catch (error) {
		if (isSlipwayError(error, "NOT_FOUND")) throw missing();
		throw error;
	}
}

/** Undefined for NOT_FOUND. */
export function ifFound<T>(look: () => T): T | undefined {
	try {
		return look();
	} catch (error) {
		if (isSlipwayError(error, "NOT_FOUND")) return undefined;
		throw error;
	}
}
