import type { IncomingMessage } from "node:http";
import { type ApiError, apiErrors, header } from "./api-http.ts";

export type ExtensionEvent = "INVOKE" | "SHUTDOWN";

/** The identifier in a request's header, or what is wrong with it (RIE, rapi/middleware). */
export function extensionIdentifier(request: IncomingMessage): string | ApiError {
	const id = header(request, "lambda-extension-identifier");
	if (!id)
		return apiErrors.forbidden("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header");
	if (!/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(id))
		return apiErrors.forbidden("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier");
	return id.toLowerCase();
}

/** The events of a registration's body, or what is wrong with it (RIE, rapi/handler/agentregister.go). */
export function registrationEvents(body: unknown, external: boolean): ExtensionEvent[] | ApiError {
	if (typeof body !== "object" || body === null || Array.isArray(body))
		return invalidFormat("the body is not a JSON object");
	const { events = [], configurationKeys = [] } = body as { events?: unknown; configurationKeys?: unknown };
	if (!Array.isArray(configurationKeys) || configurationKeys.length > 0)
		return invalidFormat("configurationKeys are deprecated; use environment variables instead");
	if (events === null) return [];
	if (!Array.isArray(events) || events.some((event) => typeof event !== "string"))
		return invalidFormat("events is not an array of strings");
	const chosen = new Set<ExtensionEvent>();
	for (const event of events as string[]) {
		if (event !== "INVOKE" && event !== "SHUTDOWN") return invalidEvent(event, "ErrorInvalidEventType");
		if (event === "SHUTDOWN" && !external) return invalidEvent(event, "ShutdownEventNotSupportedForInternalExtension");
		chosen.add(event);
	}
	return [...chosen];
}

export function wantsAccountId(request: IncomingMessage): boolean {
	const features = header(request, "lambda-extension-accept-feature") ?? "";
	return features.split(",").some((feature) => feature.trim() === "accountId");
}

export function invalidFormat(why: string): ApiError {
	return apiErrors.forbidden("InvalidRequestFormat", why);
}

function invalidEvent(event: string, why: string): ApiError {
	return apiErrors.forbidden("Extension.InvalidEventType", `${event}: ${why}`);
}
