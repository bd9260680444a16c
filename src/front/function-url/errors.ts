/** Errors in the words of function URLs (lambda-contract 4.5). */
import { isSlipwayError } from "../../base/error.ts";
import { BodyTooLargeError } from "../aws/body.ts";
import { AwsError } from "../aws/errors.ts";
import { internalError, lambdaErrors, translate } from "../aws/services/lambda/errors.ts";
import { MalformedResponseError, type UrlResponse } from "../lambda-http/response.ts";

const troubleshooting =
	"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";

/** No such URL. */
export const unknownUrl = () => refusal(403, "AccessDeniedException", { Message: null });

/** Neither the caller's signature nor the resource policy allows it, or the alias is gone. */
export const forbidden = () => refusal(403, "AccessDeniedException", { Message: troubleshooting });

/** The function failed, or answered with what is no response: which of them is in its log, and not the caller's business. */
export const badGateway = (): UrlResponse => ({
	status: 502,
	headers: new Map([["content-type", ["application/json"]]]),
	body: Buffer.from("Internal Server Error"),
});

/** Undefined for an error that nobody foresaw. */
export function refusalOf(error: unknown): UrlResponse | undefined {
	if (error instanceof MalformedResponseError) return badGateway();
	if (error instanceof BodyTooLargeError)
		return refusal(413, "RequestEntityTooLargeException", {
			Message: `Request must be smaller than ${error.limit} bytes for the InvokeFunction operation`,
		});
	if (error instanceof AwsError)
		return refusal(error.status, error.name, { Message: error.message }, error.retryAfterMs);
	if (!isSlipwayError(error)) return undefined;
	if (error.code === "NOT_FOUND") return forbidden();
	const { name, status, details } = translate(error) ?? lambdaErrors[error.code];
	const type = status < 500 ? { Type: "User" } : { Type: "Service" };
	return refusal(status, name, { ...details, ...type, message: error.message }, error.retryAfterMs);
}

export const internalFailure = () =>
	refusal(internalError.status, internalError.name, { Message: "An internal error occurred" });

function refusal(status: number, name: string, body: object, retryAfterMs?: number): UrlResponse {
	const headers = new Map([
		["content-type", ["application/json"]],
		["x-amzn-errortype", [name]],
	]);
	if (retryAfterMs !== undefined) headers.set("retry-after", [String(Math.ceil(retryAfterMs / 1000))]);
	return { status, headers, body: Buffer.from(JSON.stringify(body)) };
}
