import { AwsError } from "../../errors.ts";
import type { Call } from "../../service.ts";

/** ECR, maxResults of its listings: 1 to 1,000, 100 by default. */
const maxPageSize = 1000;
const defaultPageSize = 100;

export function invalidParameter(name: string, constraint: string): AwsError {
	const message = `Invalid parameter at '${name}' failed to satisfy constraint: '${constraint}'`;
	return new AwsError("InvalidParameterException", 400, message);
}

/** `kind`NotFoundException; every message of ECR's ends with the registry's id. */
export function notFound(kind: string, what: string, call: Pick<Call, "accountId">): AwsError {
	return new AwsError(`${kind}NotFoundException`, 400, `${what} in the registry with id '${call.accountId}'`);
}

export function pageSize(maxResults: number | undefined): number {
	if (maxResults === undefined) return defaultPageSize;
	if (Number.isInteger(maxResults) && maxResults >= 1 && maxResults <= maxPageSize) return maxResults;
	throw invalidParameter("maxResults", `Member must have value between 1 and ${maxPageSize}`);
}

/** A page of `limit` from rows of which one more was read; `next` is the page's last row when there are more. */
export function pageOf<T>(rows: readonly T[], limit: number): { page: T[]; next: T | undefined } {
	const page = rows.slice(0, limit);
	return { page, next: rows.length > limit ? page.at(-1) : undefined };
}

/** Where a listing goes on: behind the row `after`, without the first `skip` results. */
export interface PageToken {
	after: string;
	skip: number;
}

export function writeToken(token: PageToken): string {
	return Buffer.from(JSON.stringify([token.after, token.skip])).toString("base64url");
}

export function readToken(text: string): PageToken {
	try {
		const [after, skip] = JSON.parse(Buffer.from(text, "base64url").toString("utf8")) as [unknown, unknown];
		if (typeof after === "string" && Number.isInteger(skip) && (skip as number) >= 0)
			return { after, skip: skip as number };
	} catch {
		// Answered like a token of the wrong shape.
	}
	throw invalidParameter("nextToken", "it is not a token that this operation returned");
}
