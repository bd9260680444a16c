/** What the main thread and the database's thread say to each other. */
import type { WireError } from "../../base/wire-error.ts";

export interface Call {
	id: number;
	target: "repositories" | "functions" | "resources" | "idempotency";
	method: string;
	parameters: unknown[];
}

export type Outcome = { id: number; value: unknown } | { id: number; error: WireError };

export type Message = { ready: true } | { failed: WireError } | { outcomes: Outcome[] };
