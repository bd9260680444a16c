/** Bytes of a response that the Runtime API takes (lambda-contract 1.7: 6 MiB + 100). */
export const maxResponseBytes = 6 * 1024 * 1024 + 100;
/** Bytes of an error document; AWS bounds it by the response limit. */
export const maxErrorBytes = maxResponseBytes;
/** Bytes of a registration or subscription; real ones have some hundred. */
export const maxControlBytes = 256 * 1024;
/** Bytes of a request's headers: runtimes send an X-Ray error cause in one, and Go's servers take 1 MiB. */
export const maxHeaderBytes = 1024 * 1024;
/** Connections that one sandbox may hold open to its endpoint: a runtime needs one, extensions one or two each. */
export const maxConnections = 64;
/** Extensions of a sandbox, external and internal (RIE, core/agentsmap.go MaxAgentsAllowed). */
export const maxExtensions = 10;
/** Milliseconds that a sandbox with external extensions gets for its end; 0 when there are no extensions (lambda-contract 2.3). */
export const externalShutdownMs = 2000;
export const internalShutdownMs = 500;
/** Milliseconds of an extension's shutdown time that the delivery of its last telemetry may take. */
export const shutdownFlushMs = 200;
/** Records and bytes of init that wait for extensions which subscribe later. */
export const maxEarlyRecords = 10_000;
export const maxEarlyBytes = 1024 * 1024;

/** How fast and how much a function may stream (lambda-contract 1.6; RIE, interop/model.go). */
export interface StreamingLimits {
	/** Past the burst. Infinity lifts it. */
	bytesPerSecond: number;
	burstBytes: number;
	maxBytes: number;
}
export const streamingLimits: StreamingLimits = {
	bytesPerSecond: 2 * 1024 * 1024,
	burstBytes: 6 * 1024 * 1024,
	maxBytes: 200 * 1024 * 1024,
};
/** Milliseconds between two fillings of the token bucket (RIE, core/bandwidthlimiter). */
export const refillMs = 125;
