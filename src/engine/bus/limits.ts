/** https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html, and bounds of our own where AWS names none. */

/** Bytes of one entry and of a request: AWS raised its 256 KB to 1 MiB, what SQS and Lambda take; the guide still says 256 KB. */
export const maxEventBytes = 1_048_576;
export const maxTargetsPerRule = 5;
/** Buses that an event goes to one after the other over their rules: its copies may multiply at each. AWS's is 2. */
export const maxBusesOnPath = 5;
/** AWS's is 100. */
export const maxBuses = 100;
/** AWS's is 300 a bus; 10,000 cost no more to match than 10, so the bound is of memory: some 5 KB each. */
export const maxRules = 20_000;
export const maxArchives = 100;
/** Those that are not over: AWS's. */
export const maxReplaysAtOnce = 10;
/** Replays that are over and still listed: AWS forgets them after 90 days. */
export const maxReplays = 1_000;
/** Characters. */
export const maxSourceLength = 256;
export const maxDetailTypeLength = 128;
/** Objects and arrays in one another in a detail: what JSON.stringify's recursion has ample room for. */
export const maxDetailDepth = 500;
/**
 * Targets, and bytes of what they get, of an event that is given to all of them by the commit that accepts it; with more it goes by
 * fan-out.ts. Ten such events, as many as a request has, are within one commit of the log (10,000) and its memory.
 */
export const maxAppendsPerEvent = 900;
export const maxAppendBytesPerEvent = 8_388_608;
/** Fan-outs of one bus at once. */
export const fanOutConcurrency = 2;
/** Events that nobody took and that are remembered: what somebody who tries out a rule has sent lately. */
export const maxUnmatched = 1_000;
/** Deliveries at work at once for one target. */
export const targetConcurrency = 64;
/** AWS's: RetryPolicy. */
export const defaultRetry = { maxAttempts: 185, maxAgeS: 86_400 };
