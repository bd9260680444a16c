/** Which service a request is for, when no signature's scope says so, and which form an error for it should have. */
import type { BoundService } from "./bound-service.ts";
import type { RequestLine } from "./protocol/protocol.ts";

const datedPath = /^\/20\d\d-\d\d-\d\d\//;

/** For requests with a bearer token or none: the target header, then the path, then the form. */
export async function guessService(
	services: Iterable<BoundService>,
	request: RequestLine,
): Promise<BoundService | undefined> {
	const target = request.headers["x-amz-target"];
	for (const bound of services) {
		const { protocol, targetPrefix } = bound.service;
		if (target !== undefined) {
			if (targetPrefix !== undefined && String(target).startsWith(`${targetPrefix}.`)) return bound;
		} else if (bound.service.ownsPath?.test(request.path)) return bound;
		else if (datedPath.test(request.path)) {
			if (protocol.startsWith("rest-") && (await bound.protocol(request)).find(request)) return bound;
		} else if (protocol === "query") return bound;
	}
	return undefined;
}
