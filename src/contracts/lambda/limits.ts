/** Bytes of a response that the Runtime API takes (lambda-contract 1.7: 6 MiB + 100). */
export const maxResponseBytes = 6 * 1024 * 1024 + 100;
/** Bytes of an error document; AWS bounds it by the response limit. */
export const maxErrorBytes = maxResponseBytes;
/** Milliseconds for the first init, ahead of the event (lambda-contract 3.3). */
export const initLimitMs = 10_000;
/** Connections that one sandbox may hold open to its endpoint: a runtime needs one, extensions one or two each. */
export const maxConnections = 64;
/** Milliseconds a request's headers and body may take from inside a sandbox; polling waits after the request is complete. */
export const requestTimeoutMs = 60_000;
