import type { Validity } from "./x509.ts";

/** Of the lifetime, after which a certificate is renewed: Let's Encrypt asks for it with a third left. */
const renewShare = 2 / 3;
/** Of the lifetime, over which installations spread themselves. */
const jitterShare = 0.05;

/** `random`: 0 to 1. */
export function renewAtMs({ notBeforeMs, notAfterMs }: Validity, random: number): number {
	const lifetimeMs = notAfterMs - notBeforeMs;
	return notBeforeMs + lifetimeMs * (renewShare - jitterShare * random);
}

/** Milliseconds; an authority lets five validations of a name fail in an hour (https://letsencrypt.org/docs/rate-limits/). */
const firstRetryMs = 60_000;
const longestRetryMs = 12 * 3_600_000;
/** After its word that there were too many, without one of when. */
const rateLimitedMs = 3_600_000;

/** Milliseconds until the next try, after `failures` in a row; `random` 0 to 1 takes up to a fifth more. */
export function retryMs(failures: number, rateLimited: boolean, random: number): number {
	const backOffMs = Math.min(longestRetryMs, firstRetryMs * 4 ** Math.max(0, failures - 1));
	return Math.max(backOffMs, rateLimited ? rateLimitedMs : 0) * (1 + random / 5);
}
