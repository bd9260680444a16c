/** Bounds of one conversation with another registry. Each can be changed for a test or a slow link. */
export interface RegistryLimits {
	/** TCP and TLS set-up. A host that drops packets is told apart from a slow one. */
	connectMs: number;
	/** From the request to the last byte of the response's header. */
	responseMs: number;
	/** Without a single byte while we wait for one; the time a slow consumer takes does not count. */
	idleMs: number;
	/** The least that must arrive in `rateWindowMs` of waiting, so that a byte now and then does not hold a pull for ever. */
	minBytesPerWindow: number;
	rateWindowMs: number;
	/** Tries of one request, or of one blob without any progress. */
	attempts: number;
	/** Tries of one blob altogether: 10 GB over a link that breaks every 100 MB still gets through. */
	resumes: number;
	redirects: number;
	/** Longest wait that a Retry-After may ask for; past it the caller is told to come back. */
	retryAfterMs: number;
	/** First step and ceiling of the exponential backoff. */
	backoffMs: number;
	backoffCeilingMs: number;
	/** Response header. Node's own default is 16 KiB; storage services send signed links of a few KiB. */
	headerBytes: number;
	/** Body of a token response or an error: tokens are a few KiB. */
	smallBodyBytes: number;
	/** Open connections to one host. */
	sockets: number;
}

export const defaultLimits: RegistryLimits = {
	connectMs: 10_000,
	responseMs: 30_000,
	idleMs: 30_000,
	minBytesPerWindow: 64 * 1024,
	rateWindowMs: 60_000,
	attempts: 5,
	resumes: 100,
	redirects: 5,
	retryAfterMs: 60_000,
	backoffMs: 500,
	backoffCeilingMs: 10_000,
	headerBytes: 32 * 1024,
	smallBodyBytes: 256 * 1024,
	sockets: 8,
};
