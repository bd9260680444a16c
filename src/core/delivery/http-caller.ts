/** Calls a service as any client of it does: it starts from zero, its requests are admitted and split as always. */
export interface HttpCaller {
	/**
	 * Resolves with any answer of the service or of the gateway before it (429 when no instance has room, 503 while it does not start).
	 * DEADLINE after `timeoutMs`; UNAVAILABLE when the connection broke; TOO_LARGE for an answer past `maxAnswerBytes`. Rejects with the
	 * signal's reason.
	 */
	call(request: HttpCall, signal: AbortSignal): Promise<HttpAnswer>;
}

export interface HttpCall {
	/** Of the service. */
	namespace: string;
	name: string;
	method: string;
	/** From "/" on, with the query. */
	path: string;
	/** Host is the service's own. */
	headers: Readonly<Record<string, string>>;
	body: Uint8Array;
	/** Until the answer is whole. */
	timeoutMs: number;
}

export interface HttpAnswer {
	status: number;
	/** Lower-case names; fields that came more than once are joined with ", ". */
	headers: Readonly<Record<string, string>>;
	body: Uint8Array;
}

/** Bytes of an answer that are kept: a longer one is nothing that a deliverer could use. Lambda's bound of a synchronous answer. */
export const maxAnswerBytes = 6 * 1024 * 1024;
