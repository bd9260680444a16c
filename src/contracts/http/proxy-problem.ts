/** What a client is told when its container failed it. */
import type { IncomingHttpHeaders } from "node:http";

export interface ProblemText {
	contentType: string;
	body: string;
}

/** JSON for who asks for it, else a line of text. */
export function problemText(headers: IncomingHttpHeaders, error: string, details: Record<string, string>): ProblemText {
	const isJson = typeof headers.accept === "string" && headers.accept.includes("application/json");
	if (isJson) return { contentType: "application/json", body: `${JSON.stringify({ error, ...details })}\n` };
	return { contentType: "text/plain; charset=utf-8", body: `${error}\n` };
}
