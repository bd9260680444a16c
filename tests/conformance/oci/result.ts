export interface Result {
	name: string;
	status: "passed" | "failed" | "skipped";
	/** Why it failed or was skipped. */
	detail?: string;
}

export type Report = (result: Result) => void;
