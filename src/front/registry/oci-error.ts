/** The one table that turns our errors into the distribution-spec's ("Error Codes"), and its body. */
import { type ErrorCode, SlipwayError } from "../../base/error.ts";
import type { RouteKind } from "./route.ts";

export interface OciError {
	status: number;
	/** Of the specification's list for every 4xx; a 5xx may say what it likes. */
	code: string;
}

/** Finer than a code: named by the stores, the engine and this front. */
const byReason = {
	NameInvalid: { status: 400, code: "NAME_INVALID" },
	RepositoryUnknown: { status: 404, code: "NAME_UNKNOWN" },
	DigestInvalid: { status: 400, code: "DIGEST_INVALID" },
	SizeInvalid: { status: 400, code: "SIZE_INVALID" },
	PageInvalid: { status: 400, code: "UNSUPPORTED" },
	UploadUnknown: { status: 404, code: "BLOB_UPLOAD_UNKNOWN" },
	UploadOffset: { status: 416, code: "BLOB_UPLOAD_INVALID" },
	UploadBusy: { status: 409, code: "BLOB_UPLOAD_INVALID" },
	RangeNotSatisfiable: { status: 416, code: "SIZE_INVALID" },
	ManifestUnknown: { status: 404, code: "MANIFEST_UNKNOWN" },
	ManifestBlobUnknown: { status: 404, code: "MANIFEST_BLOB_UNKNOWN" },
	ImageTagAlreadyExists: { status: 409, code: "DENIED" },
	MethodNotAllowed: { status: 405, code: "UNSUPPORTED" },
	EndpointUnknown: { status: 404, code: "UNSUPPORTED" },
} as const satisfies Record<string, OciError>;

const byCode: Record<ErrorCode, OciError> = {
	INVALID: { status: 400, code: "UNSUPPORTED" },
	NOT_FOUND: { status: 404, code: "NAME_UNKNOWN" },
	ALREADY_EXISTS: { status: 409, code: "DENIED" },
	CONFLICT: { status: 409, code: "DENIED" },
	PRECONDITION: { status: 412, code: "DENIED" },
	UNAUTHENTICATED: { status: 401, code: "UNAUTHORIZED" },
	FORBIDDEN: { status: 403, code: "DENIED" },
	TOO_LARGE: { status: 413, code: "SIZE_INVALID" },
	THROTTLED: { status: 429, code: "TOOMANYREQUESTS" },
	INVALID_IMAGE: { status: 400, code: "MANIFEST_INVALID" },
	DIGEST_MISMATCH: { status: 400, code: "DIGEST_INVALID" },
	UNSUPPORTED: { status: 400, code: "UNSUPPORTED" },
	DEADLINE: { status: 408, code: "UNSUPPORTED" },
	EXHAUSTED: { status: 507, code: "INSUFFICIENT_STORAGE" },
	UNAVAILABLE: { status: 503, code: "UNAVAILABLE" },
	SANDBOX_FAILED: { status: 500, code: "UNKNOWN" },
};

/** What "invalid" and "not found" are about, where the reason does not say. */
const byKind: Partial<Record<ErrorCode, Partial<Record<RouteKind, OciError>>>> = {
	INVALID: {
		manifest: { status: 400, code: "MANIFEST_INVALID" },
		blob: { status: 400, code: "DIGEST_INVALID" },
		referrers: { status: 400, code: "DIGEST_INVALID" },
		uploads: { status: 400, code: "BLOB_UPLOAD_INVALID" },
		upload: { status: 400, code: "BLOB_UPLOAD_INVALID" },
	},
	CONFLICT: { upload: { status: 409, code: "BLOB_UPLOAD_INVALID" } },
	NOT_FOUND: {
		manifest: { status: 404, code: "MANIFEST_UNKNOWN" },
		blob: { status: 404, code: "BLOB_UNKNOWN" },
		upload: { status: 404, code: "BLOB_UPLOAD_UNKNOWN" },
	},
};

const codeOfReason = {
	NameInvalid: "INVALID",
	DigestInvalid: "INVALID",
	SizeInvalid: "INVALID",
	PageInvalid: "INVALID",
	UploadOffset: "INVALID",
	RangeNotSatisfiable: "INVALID",
	RepositoryUnknown: "NOT_FOUND",
	UploadUnknown: "NOT_FOUND",
	ManifestUnknown: "NOT_FOUND",
	EndpointUnknown: "NOT_FOUND",
	MethodNotAllowed: "UNSUPPORTED",
} as const satisfies Partial<Record<keyof typeof byReason, ErrorCode>>;

/** A refusal of this front's own. */
export function refuse(reason: keyof typeof codeOfReason, message: string): SlipwayError {
	return new SlipwayError(codeOfReason[reason], message, { reason });
}

export function toOciError(error: SlipwayError, kind: RouteKind | undefined): OciError {
	const reasons: Partial<Record<string, OciError>> = byReason;
	const named = error.reason === undefined ? undefined : reasons[error.reason];
	return named ?? (kind && byKind[error.code]?.[kind]) ?? byCode[error.code];
}

export function errorBody(code: string, error: SlipwayError): string {
	const detail = error.hint === undefined ? undefined : { hint: error.hint };
	return JSON.stringify({ errors: [{ code, message: error.message, detail }] });
}
