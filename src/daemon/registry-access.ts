/** Who may use the registry: `AWS` with the password of `aws ecr get-login-password`, or any user with the native token. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { SlipwayError } from "../base/error.ts";
import type { Authorize } from "../front/registry/registry-front.ts";
import type { Credentials } from "./credentials.ts";

export function registryAccess(credentials: Credentials): Authorize {
	return (request) => {
		const given = basicCredentials(request) ?? bearerToken(request);
		if (!given)
			throw new SlipwayError("UNAUTHENTICATED", "Log in first", {
				hint: "`aws ecr get-login-password | docker login --username AWS --password-stdin HOST`",
			});
		if (given.user === "AWS" && sameSecret(given.password, credentials.registryPassword)) return { name: "AWS" };
		if (sameSecret(given.password, credentials.token)) return { name: given.user };
		throw new SlipwayError("UNAUTHENTICATED", "The user name or password is not right");
	};
}

/** Compares digests, which have one length, so that the time taken tells nothing about either. */
export function sameSecret(given: string, expected: string): boolean {
	const digest = (text: string) => createHash("sha256").update(text).digest();
	return timingSafeEqual(digest(given), digest(expected));
}

/** RFC 7617. */
function basicCredentials(request: IncomingMessage): { user: string; password: string } | undefined {
	const match = /^Basic +([A-Za-z0-9+/=_-]+) *$/i.exec(request.headers.authorization ?? "");
	if (!match) return undefined;
	const text = Buffer.from(match[1] ?? "", "base64").toString();
	const colon = text.indexOf(":");
	return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

function bearerToken(request: IncomingMessage): { user: string; password: string } | undefined {
	const match = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? "");
	return match ? { user: "token", password: match[1] ?? "" } : undefined;
}
