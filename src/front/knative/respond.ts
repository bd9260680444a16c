import type { Call } from "./request.ts";

/** JSON, or YAML for those who ask for it. */
export async function respond(
	{ response, presentation }: Pick<Call, "response" | "presentation">,
	status: number,
	body: object,
	headers: Record<string, string> = {},
): Promise<void> {
	const isYaml = presentation.format === "yaml";
	const text = isYaml ? (await import("yaml")).stringify(body) : `${JSON.stringify(body)}\n`;
	response.writeHead(status, {
		"Content-Type": isYaml ? "application/yaml" : "application/json",
		"Content-Length": String(Buffer.byteLength(text)),
		"Cache-Control": "no-cache, private",
		...headers,
	});
	response.end(text);
}
