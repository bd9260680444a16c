import { SlipwayError } from "../../base/error.ts";
import type { ContainerEnd } from "./container.ts";

/** The end of a container as an error for people: UNAVAILABLE, reason "ProbeFailed" or "ContainerExited". */
export function containerFailure(end: ContainerEnd): SlipwayError {
	const said = end.lastLines.length === 0 ? "" : `. Its last output: ${end.lastLines.join("\n")}`;
	if (end.probe) {
		const { name, failure } = end.probe;
		const message = `The ${name} probe of container "${end.container}" failed: ${failure.message}${said}`;
		return new SlipwayError("UNAVAILABLE", message, { reason: "ProbeFailed" });
	}
	return new SlipwayError("UNAVAILABLE", `Container "${end.container}" ${howItEnded(end)}${said}`, {
		reason: "ContainerExited",
	});
}

function howItEnded({ code, signal, oomKilled }: ContainerEnd): string {
	if (oomKilled) return "was killed because it used more than its memory limit";
	return code === undefined ? `was ended by ${signal ?? "a signal"}` : `exited with code ${code}`;
}
