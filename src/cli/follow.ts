import { isSlipwayError, SlipwayError } from "../base/error.ts";

/** Of what goes on in the daemon while a command looks on. */
export interface Followed<Line, Result> {
	open: (signal: AbortSignal) => AsyncIterable<Line>;
	/** What it was waited for, once it is there. */
	take: (line: Line) => Result | undefined;
	/** Rejects with NOT_FOUND when it was deleted. */
	check: () => Promise<unknown>;
	/** What was waited for, for people: `execution 'nightly-1a2b3' was running`. */
	what: string;
	/** The command that shows later how it went. */
	later: string;
}

/** Until there is a result. A daemon that ends meanwhile goes on with its work when it starts again: that is what is said then. */
export async function follow<Line, Result>({
	open,
	take,
	check,
	what,
	later,
}: Followed<Line, Result>): Promise<Result> {
	const left = new AbortController();
	try {
		for await (const line of open(left.signal)) {
			const result = take(line);
			if (result !== undefined) return result;
		}
		await check();
	} catch (error) {
		if (!isSlipwayError(error) || error.reason !== "NoDaemon") throw error;
	} finally {
		left.abort();
	}
	throw new SlipwayError("UNAVAILABLE", `The daemon ended while ${what}`, {
		reason: "NoDaemon",
		hint: `It goes on when a daemon starts again: ${later}`,
	});
}
