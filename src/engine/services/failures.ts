import { isSlipwayError } from "../../base/error.ts";
import type { RevisionProgress } from "./records.ts";

/** A condition's message is for a person: the last lines of a container's output are enough of it. */
const maxMessage = 4000;

/** Why a revision did not become ready, in the reasons of revision_lifecycle.go and Kubernetes' container states. */
export function failureOf(error: unknown): Omit<Extract<RevisionProgress, { state: "failed" }>, "state"> {
	const healthy = (reason: string, message: string) =>
		({ condition: "ContainerHealthy", reason, message: message.slice(0, maxMessage) }) as const;
	const available = (reason: string, message: string) =>
		({ condition: "ResourcesAvailable", reason, message: message.slice(0, maxMessage) }) as const;
	if (!isSlipwayError(error)) return healthy("InternalError", "Internal error; the daemon's log says more");
	const { reason, message, code, hint } = error;
	const whole = hint ? `${message} (${hint})` : message;
	if (reason === "ContainerMissing") return healthy("ContainerMissing", whole);
	if (reason === "ContainerExited") {
		const exit = /exit(?:ed with)? (?:code |status )?(\d{1,3})/i.exec(message)?.[1];
		return healthy(exit === undefined ? "ContainerExited" : `ExitCode${exit}`, `Container failed with: ${whole}`);
	}
	if (code === "DEADLINE") return available("ProgressDeadlineExceeded", whole);
	// Knative knows such a revision by its never having been there in time; here the probe says what is wrong.
	if (reason === "ProbeFailed")
		return available("ProgressDeadlineExceeded", `Initial scale was never achieved: ${whole}`);
	if (code === "EXHAUSTED") return available("InsufficientResources", whole);
	if (code === "INVALID_IMAGE") return healthy("CreateContainerConfigError", whole);
	return healthy("CreateContainerError", whole);
}
