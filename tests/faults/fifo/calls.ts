/** What the two processes say to each other. */
export type CallBody =
	| { kind: "send"; group: string; from: number; count: number }
	| { kind: "receive"; max: number; visibilityS: number }
	| { kind: "delete"; handles: string[] }
	| { kind: "visibility"; handles: string[]; seconds: number }
	| { kind: "counts" };

export type Call = { id: number } & CallBody;

export interface Received {
	group: string;
	n: number;
	receiptHandle: string;
}

/** Of id 0: it is open. */
export interface Answer {
	id: number;
	value?: null | number | boolean[] | Received[];
	error?: string;
}
