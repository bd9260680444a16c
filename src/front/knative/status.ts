/** Errors as Kubernetes tells them: metav1.Status (apimachinery/pkg/apis/meta/v1/types.go, api/errors/errors.go). */
import { type ErrorCode, isSlipwayError, type SlipwayError } from "../../base/error.ts";
import { group, qualified, type Resource } from "./resources.ts";

export interface Cause {
	reason: string;
	message: string;
	field?: string;
}

export interface Status {
	kind: "Status";
	apiVersion: "v1";
	metadata: Record<string, never>;
	status: "Failure" | "Success";
	message?: string;
	reason?: string;
	details?: {
		name?: string;
		group?: string;
		kind?: string;
		uid?: string;
		causes?: Cause[];
		retryAfterSeconds?: number;
	};
	code?: number;
}

/** What the error is about, for `details`. */
export interface Subject {
	resource: Pick<Resource, "plural">;
	name?: string | undefined;
	/** Undefined: ours. */
	group?: string | undefined;
}

/** A refusal that is the API's own: of a method, a media type, a query. */
export class ApiError extends Error {
	override readonly name = "ApiError";
	readonly code: number;
	readonly reason: string;
	readonly causes: Cause[];
	readonly headers: Record<string, string>;

	constructor(
		code: number,
		reason: string,
		message: string,
		options: { causes?: Cause[]; headers?: Record<string, string> } = {},
	) {
		super(message);
		this.code = code;
		this.reason = reason;
		this.causes = options.causes ?? [];
		this.headers = options.headers ?? {};
	}
}

export const badRequest = (message: string) => new ApiError(400, "BadRequest", message);
export const noSuchPath = () => new ApiError(404, "NotFound", "the server could not find the requested resource");
export const notAllowed = (message: string, allow: readonly string[]) =>
	new ApiError(405, "MethodNotAllowed", message, { headers: { Allow: allow.join(", ") } });

const answers: Record<ErrorCode, readonly [code: number, reason: string]> = {
	INVALID: [422, "Invalid"],
	NOT_FOUND: [404, "NotFound"],
	ALREADY_EXISTS: [409, "AlreadyExists"],
	CONFLICT: [409, "Conflict"],
	PRECONDITION: [409, "Conflict"],
	UNAUTHENTICATED: [401, "Unauthorized"],
	FORBIDDEN: [403, "Forbidden"],
	TOO_LARGE: [413, "RequestEntityTooLarge"],
	THROTTLED: [429, "TooManyRequests"],
	INVALID_IMAGE: [422, "Invalid"],
	DIGEST_MISMATCH: [422, "Invalid"],
	UNSUPPORTED: [422, "Invalid"],
	DEADLINE: [504, "Timeout"],
	EXHAUSTED: [503, "ServiceUnavailable"],
	UNAVAILABLE: [503, "ServiceUnavailable"],
	SANDBOX_FAILED: [500, "InternalError"],
};

/** Anything but a SlipwayError or an ApiError is a bug, and of a bug nothing is told. */
export function toStatus(error: unknown, subject?: Subject): Status & { code: number } {
	if (error instanceof ApiError) {
		return failure(error.code, error.reason, error.message, subject, error.causes);
	}
	if (!isSlipwayError(error)) return failure(500, "InternalError", "Internal error", subject, []);
	if (error.code === "CONFLICT" && error.reason === "Expired")
		return failure(410, "Expired", error.message, undefined, []);
	const [code, reason] = answers[error.code];
	const causes = reason === "Invalid" ? causesOf(error.message) : [];
	const status = failure(code, reason, messageOf(error, reason, subject), subject, causes);
	if (error.retryAfterMs === undefined) return status;
	return { ...status, details: { ...status.details, retryAfterSeconds: Math.ceil(error.retryAfterMs / 1000) } };
}

export function success(subject: Subject, uid: string | undefined): Status {
	return {
		kind: "Status",
		apiVersion: "v1",
		metadata: {},
		status: "Success",
		details: { ...about(subject), ...(uid !== undefined && { uid }) },
	};
}

function failure(
	code: number,
	reason: string,
	message: string,
	subject: Subject | undefined,
	causes: Cause[],
): Status & { code: number } {
	const details = { ...(subject && about(subject)), ...(causes.length > 0 && { causes }) };
	return {
		kind: "Status",
		apiVersion: "v1",
		metadata: {},
		status: "Failure",
		message,
		reason,
		...(Object.keys(details).length > 0 && { details }),
		code,
	};
}

function about({ resource, name, group: own = group }: Subject): NonNullable<Status["details"]> {
	return { ...(name !== undefined && { name }), ...(own !== "" && { group: own }), kind: resource.plural };
}

/** The sentences that Kubernetes' clients and their users know, where it has one. */
function messageOf(error: SlipwayError, reason: string, subject: Subject | undefined): string {
	if (subject?.name === undefined) return error.message;
	const object = qualified(subject.resource, subject.name);
	switch (reason) {
		case "NotFound":
			return `${object} not found`;
		case "AlreadyExists":
			return `${object} already exists`;
		case "Conflict":
			return `Operation cannot be fulfilled on ${object}: ${error.message}`;
		default:
			return error.message;
	}
}

/**
 * `problem: path, path` on a line of its own, with lines of what is allowed behind it (knative.dev/pkg/apis FieldError),
 * which is how core/service says what is wrong with a manifest.
 */
function causesOf(message: string): Cause[] {
	const causes: Cause[] = [];
	for (const line of message.replace(/^validation failed: /, "").split("\n")) {
		const match = /^(.+): ([A-Za-z_][^\s,:]*(?:, [A-Za-z_][^\s,:]*)*)$/.exec(line);
		const [, problem, paths] = match ?? [];
		if (problem !== undefined && paths !== undefined)
			for (const field of paths.split(", ")) causes.push({ reason: causeReason(problem), message: problem, field });
		else {
			const last = causes.at(-1);
			if (last && line !== "") last.message += `: ${line}`;
		}
	}
	return causes;
}

function causeReason(problem: string): string {
	if (problem.startsWith("missing field")) return "FieldValueRequired";
	if (problem.startsWith("must not set")) return "FieldValueForbidden";
	return "FieldValueInvalid";
}

export function unauthorized(): ApiError {
	return new ApiError(401, "Unauthorized", "Unauthorized", {
		headers: { "WWW-Authenticate": 'Bearer realm="slipway"' },
	});
}

/** As Kubernetes says that a query's value is not one. */
export function invalidOption(field: string, message: string): ApiError {
	return new ApiError(422, "Invalid", `${field}: ${message}`, {
		causes: [{ reason: "FieldValueInvalid", message, field }],
	});
}
